"""Makes a package index (PEP 503) of two small packages: python3 make_index.py FOLDER."""

import hashlib
import sys
import zipfile
from pathlib import Path

PACKAGES = [("gold", "1.0", []), ("gold", "1.1", ["glitter>=2"]), ("glitter", "2.0", [])]


def wheel(folder, name, version, needs):
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    contents = {
        f"{name}.py": f"VERSION = {version!r}\n" + "# All that is gold does not glitter\n" * 5000,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*contents, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file, text in contents.items():
            archive.writestr(file, text)
    return path


def main(root):
    for name in sorted({name for name, _, _ in PACKAGES}):
        folder = root / name
        folder.mkdir(parents=True)
        links = []
        for _, version, needs in (package for package in PACKAGES if package[0] == name):
            path = wheel(folder, name, version, needs)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            links.append(f'<a href="{path.name}#sha256={digest}">{path.name}</a>\n')
        (folder / "index.html").write_text("<!DOCTYPE html><html><body>\n" + "".join(links) + "</body></html>\n")


main(Path(sys.argv[1]))
