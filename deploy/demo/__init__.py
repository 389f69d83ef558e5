"""The whole product on one machine with a stand-in LMS: `make demo` and `make run`."""
