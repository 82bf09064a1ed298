"""Writes the table of attributes that name a patient (DICOM PS3.15, table E.1-1, basic profile) and a file to test it with.

    pip install pydicom==3.0.2 dicom-anonymizer==2.1.0
    python tests/oracles/make_confidential.py

The table is that of dicom-anonymizer for DICOM 2026c, keywords are pydicom's; it goes to src/readers/confidential/profile.rs.
The file has no patient: every value is made. What is expected of it is counted by this program, by a walk of pydicom's.
"""

import json
import re
from collections import Counter
from pathlib import Path

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as fields
from pydicom import Dataset, Sequence, datadict, uid
from pydicom.dataset import FileDataset, FileMetaDataset

HERE = Path(__file__).parent / "dicom"
TABLE = HERE.parents[2] / "src/readers/confidential/profile.rs"
ACTIONS = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z/D",
    "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D",
    "X_Z_U_STAR_TAGS": "X/Z/U*",
}
REPEATED = {0x5000_0000: "CurveData", 0x6000_3000: "OverlayData", 0x6000_4000: "OverlayComments"}


def names():
    """Names as the table has them, for attributes that pydicom does not know yet."""
    line = re.compile(r"\((0x\w{4}), (0x\w{4})\),\s*#\s*(.+)")
    found = line.findall(Path(fields.__file__).read_text())
    return {int(group, 16) << 16 | int(element, 16): re.sub(r"\W", "", name.title()) for group, element, name in found}


def rows():
    known, table = names(), {}
    for category, action in ACTIONS.items():
        for tag in getattr(fields, category):
            number, mask = tag[0] << 16 | tag[1], 0xFFFF_FFFF
            if len(tag) == 4:
                mask = tag[2] << 16 | tag[3]
                keyword = REPEATED[number]
            else:
                keyword = datadict.keyword_for_tag(number) or known[number]
            assert table.setdefault(number, (mask, keyword, action))[2] == action, hex(number)
    return sorted((number, *row) for number, row in table.items())


def write_table(table):
    hexadecimal = lambda number: f"0x{number >> 16:04x}_{number & 0xFFFF:04x}"
    single = [row for row in table if row[0] not in REPEATED]
    lines = [
        "//! Table E.1-1 of DICOM PS3.15 2026c, basic profile. Made by `tests/oracles/make_confidential.py`.",
        "",
        "/// Attributes of groups that occur many times: tag, the bits of it that count, keyword, action.",
        "#[rustfmt::skip]",
        f"pub(super) const REPEATED: [(u32, u32, &str, &str); {len(REPEATED)}] = [",
        *(
            f'    ({hexadecimal(n)}, {hexadecimal(mask)}, "{keyword}", "{action}"),'
            for n, mask, keyword, action in table
            if n in REPEATED
        ),
        "];",
        "",
        "/// Tag, keyword, and what the profile does with the attribute; sorted by tag.",
        "#[rustfmt::skip]",
        f"pub(super) static PROFILE: [(u32, &str, &str); {len(single)}] = [",
        *(f'    ({hexadecimal(n)}, "{keyword}", "{action}"),' for n, _, keyword, action in single),
        "];",
        "",
    ]
    TABLE.write_text("\n".join(lines))


def made():
    file = FileDataset(None, Dataset(), preamble=bytes(128))
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = uid.CTImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = "1.2.3"
    file.Modality, file.Rows, file.Columns = "CT", 0, 0
    file.PatientName, file.PatientID, file.PatientBirthDate = "Made^Up", "4711", "19700101"
    file.AccessionNumber, file.StudyID, file.InstitutionName = "", "   ", "Hospital\\Ward"
    file.StudyDate, file.StudyInstanceUID = "20200102", "1.2.4"
    file.PatientAge, file.PatientWeight = "040Y", "70"
    step = Dataset()
    step.ScheduledProcedureStepDescription = "made"
    step.ScheduledPerformingPhysicianName = ""
    request = Dataset()
    request.RequestedProcedureID = "7"
    request.ScheduledProtocolCodeSequence = Sequence([step, step])
    file.RequestAttributesSequence = Sequence([request])
    file.ReferencedStudySequence = Sequence([])
    item = Dataset()
    item.PatientName = "Made^Too"
    file.ReferencedPatientSequence = Sequence([item])
    block = file.private_block(0x0009, "MADE", create=True)
    block.add_new(1, "LO", "made")
    block.add_new(2, "LO", "")
    item.private_block(0x0019, "MADE", create=True).add_new(1, "US", 3)
    file.add_new(0x6002_3000, "OW", bytes(4))
    file.add_new(0x6002_4000, "LT", "made")
    file.add_new(0x5004_0010, "US", 1)
    file.save_as(HERE / "confidential.dcm", enforce_file_format=True)
    return file


def holds(element):
    if element.VR == "SQ":
        return len(element.value) > 0
    return element.value is not None and str(element.value).strip() not in ("", "b''")


def expected(file, table):
    found, private = Counter(), 0

    def count(dataset, element):
        nonlocal private
        if not holds(element):
            return
        if element.tag.is_private:
            private += 1
            return
        for number, mask, keyword, action in table:
            if int(element.tag) & mask == number:
                found[int(element.tag), keyword, action] += 1

    file.walk(count)
    listed = [{"tag": tag, "keyword": keyword, "action": action, "n": n} for (tag, keyword, action), n in sorted(found.items())]
    return {"attributes": listed, "private": private}


if __name__ == "__main__":
    table = rows()
    write_table(table)
    (HERE / "confidential.json").write_text(json.dumps(expected(made(), table), indent=1) + "\n")
