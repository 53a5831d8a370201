#include <nanobind/nanobind.h>
NB_MODULE(P2S_MODULE, m) { m.def("version", [] { return 1; }); }
