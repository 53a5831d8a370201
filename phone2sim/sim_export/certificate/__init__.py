"""The twin certificate: does each object behave, and does the scene look, as what was captured would?"""

from phone2sim.sim_export.certificate.certify import Certificate, CertificateConfig, Check, certify

__all__ = ["Certificate", "CertificateConfig", "Check", "certify"]
