"""The examples of docs/clients.md, each run as it stands there, but for the address."""

import os
import re
import subprocess
import sys
from pathlib import Path

from gateway import KEY
from talk import Spec

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "clients.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


class Examples(Spec):
    """Those that import one of `packages`."""

    packages = ()

    def test_each(self):
        for package in self.packages:
            found = [code for code in EXAMPLES if re.search(rf"^(import|from) {package}\b", code, re.M)]
            self.assertTrue(found)
            for code in found:
                with self.subTest(package):
                    environment = {**os.environ, "PERILUNE_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
                    code = code.replace("http://127.0.0.1:4100", self.house.url)
                    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
                    self.assertEqual(ran.returncode, 0, ran.stderr)
                    self.assertIn("You said: Say hello.", ran.stdout)
