"""The bill of materials of a release, against the lock files that it is made from."""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class BillTest(unittest.TestCase):
    """One run of the script, looked at."""

    def written(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        subprocess.run([sys.executable, ROOT / "scripts/sbom.py", folder.name], check=True, stdout=subprocess.DEVNULL)
        return {path.name: path.read_text() for path in Path(folder.name).iterdir()}

    def test_the_bill_of_materials_has_every_locked_package_and_no_address(self):
        bills = self.written()
        lock = tomllib.loads((ROOT / "sandbox-images/images.lock").read_text())
        for image, parts in lock.items():
            bill = json.loads(bills[f"image-{image}.cdx.json"])
            versions = {(part["name"], part["version"]) for part in bill["components"]}
            for name, entry in parts["debs"].items():
                self.assertIn((name, entry["version"]), versions, image)
        crates = {(p["name"], p["version"]) for p in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
        programs = json.loads(bills["cloister.cdx.json"])
        self.assertLessEqual({(p["name"], p["version"]) for p in programs["components"]}, crates)
        names = {part["name"] for part in programs["components"]}
        self.assertLessEqual({"cloister", "cloister-jail", "cloister-wasm", "tokio", "wasmtime", "seccompiler"}, names)
        self.assertTrue(names.isdisjoint({"proptest", "tempfile", "cloister-tests", "criterion"}), "what only tests need")
        for name, text in bills.items():
            bill = json.loads(text)
            self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
            references = [part["bom-ref"] for part in bill["components"]]
            self.assertEqual(len(references), len(set(references)), name)
            self.assertIsNone(re.search(r"https?://", text), name)

    def test_the_same_sources_give_the_same_bill(self):
        self.assertEqual(self.written(), self.written())


if __name__ == "__main__":
    unittest.main()
