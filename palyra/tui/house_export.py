"""What the parts of the house tell and what the doctor found, written out for whoever is asked for help."""

import json
from datetime import UTC, datetime
from pathlib import Path

from palyra.control.codec import encode
from palyra.control.diagnostics_answers import diagnosis_json
from palyra.control.diagnostics_queries import Diagnosis
from palyra.control.doctor_queries import DoctorReport
from palyra.core.private_files import new_private_file, private_dir
from palyra.core.safe_text import json_safe


def write_house(directory: Path, now: int, diagnosis: Diagnosis | None, report: DoctorReport | None) -> list[Path]:
    """A JSON file for each that is known, mode 0600, and their paths; `now` in unix ms. Blocks on the disk.

    Raises StateError, OSError.
    """
    told: dict[str, object] = {}
    if diagnosis is not None:
        told["diagnostics"] = diagnosis_json(diagnosis)
    if report is not None:
        told["doctor"] = json.loads(encode(DoctorReport, report))
    private_dir(directory)
    at = f"{datetime.fromtimestamp(now / 1_000, UTC):%Y%m%d-%H%M%S}"
    files: list[Path] = []
    for name, tree in told.items():
        path = directory / f"{name}-{at}.json"
        with new_private_file(path) as file:
            file.write(f"{json_safe(json.dumps(tree, indent=2, ensure_ascii=False))}\n".encode())
        files.append(path)
    return files
