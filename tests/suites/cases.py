# SPDX-License-Identifier: MIT
# cases.py OUT MODULE [-k PATTERN...]: run a unittest module as `python3 -m unittest` does and write
# a line "CASE<TAB>RESULT" to OUT as each case ends (results: ok, skipped, failed, error, xfail).
# With CASES_PATH set, that folder's packages belong to the package test; their modules are all run.
# Exact where the words of `-v` are not: the cases' own output is between them.
import glob
import os
import sys
import unittest


class Cases(unittest.TextTestResult):
    out = None

    def startTest(self, test):
        super().startTest(test)
        self._state = "ok"

    def stopTest(self, test):
        super().stopTest(test)
        self._put(test, self._state)

    def _put(self, test, state):
        os.write(Cases.out, f"{test.id()}\t{state}\n".encode())

    def _set(self, test, state):
        self._state = state
        if not isinstance(test, unittest.TestCase):  # setUpClass, setUpModule
            self._put(test, state)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._set(test, "skipped")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._set(test, "failed")

    def addError(self, test, err):
        super().addError(test, err)
        self._set(test, "error")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._set(test, "xfail")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._set(test, "xpass")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._state = "failed"


def names(module):
    extra = os.environ.get("CASES_PATH", "")
    files = glob.glob(os.path.join(extra, module.split(".")[-1], "test_*.py")) if extra else []
    if not files:
        return [module]
    import test
    test.__path__.append(extra)
    return sorted(module + "." + os.path.basename(f)[:-3] for f in files)


def main():
    out, module, *rest = sys.argv[1:]
    Cases.out = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    sys.argv[1:] = []
    loader = unittest.defaultTestLoader
    if rest:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in rest[1:]]
    suite = loader.loadTestsFromNames(names(module))
    unittest.TextTestRunner(verbosity=2, resultclass=Cases).run(suite)


main()
