"""Validate USD files with every rule of omniverse-asset-validator and every validator of USD itself.

usage: usd_validate.py FILE...      prints each issue, then a line per file; exit 1 on an error or failure
"""

import importlib
import logging
import sys

logging.disable(logging.INFO)

import omni.asset_validator as av  # noqa: E402
from omni.asset_validator import ValidationEngine  # noqa: E402
from pxr import Usd, UsdValidation  # noqa: E402


def all_rules():
    """Rules that are off by default: splats, hierarchy, units, paths."""
    out = []
    for module in ("_gaussian_splat_checker", "_hierarchy_rules", "_units_rules"):
        m = importlib.import_module(f"omni.asset_validator.{module}")
        names = getattr(m, "__all__", None) or [n for n in dir(m) if n.endswith("Checker")]
        out += [getattr(m, n) for n in names if isinstance(getattr(m, n), type) and n != "BaseRuleChecker"]
    for name in ("AnchoredAssetPathsChecker", "SupportedFileTypesChecker", "PortableAssetPathChecker"):
        if hasattr(av, name):
            out.append(getattr(av, name))
    return out


def main(files):
    total = 0
    for file in files:
        engine = ValidationEngine(init_rules=True)
        for rule in all_rules():
            engine.enable_rule(rule)
        errors = warnings = 0
        for issue in engine.validate(file).issues():
            bad = issue.severity.name in ("ERROR", "FAILURE")
            errors, warnings = errors + bad, warnings + (not bad)
            rule = issue.rule.__name__ if issue.rule else "-"
            code = issue.requirement.code if issue.requirement else "-"
            print(f"  {issue.severity.name} {rule} {code} | {issue.message} | {issue.at}")
        registry = UsdValidation.ValidationRegistry()
        context = UsdValidation.ValidationContext(list(registry.GetOrLoadAllValidators()))
        for error in context.Validate(Usd.Stage.Open(file)):
            bad = str(error.GetType()).endswith("Error")
            errors, warnings = errors + bad, warnings + (not bad)
            print(f"  USD {error.GetType()} {error.GetName()} | {error.GetMessage()}")
        print(f"{file}: {errors} errors, {warnings} warnings")
        total += errors
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
