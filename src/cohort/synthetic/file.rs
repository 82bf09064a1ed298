//! A phantom's slice as a DICOM file: CT Image Storage (PS3.3 A.3), explicit VR little endian.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use sha2::{Digest as _, Sha256};

use super::INTERCEPT;

/// What a file says beside its pixels.
pub(super) struct Tags<'a> {
    pub(super) seed: u64,
    pub(super) patient: &'a str,
    /// Instance number, from 1.
    pub(super) number: usize,
    /// Rows and columns.
    pub(super) size: usize,
    pub(super) spacing_mm: f32,
    pub(super) thickness_mm: f32,
    pub(super) z_mm: f32,
    pub(super) station: &'a str,
    pub(super) kernel: &'a str,
}

/// The bytes of a file. All dates are one day, all UIDs come from the seed, so that equal input gives equal bytes.
pub(super) fn encode(header: &Tags<'_>, pixels: Vec<u16>) -> Vec<u8> {
    let uid = |what: &str| uid(&format!("{} {} {what}", header.seed, header.patient));
    let half = header.spacing_mm * (header.size as f32 - 1.0) / 2.0;
    let decimal = |value: f32| format!("{value:.4}");
    let text = |tag: Tag, vr: VR, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let short = |tag: Tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    let day = "20200101";
    let object = InMemDicomObject::from_element_iter([
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        text(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
        text(
            tags::SOP_INSTANCE_UID,
            VR::UI,
            &uid(&format!("image {}", header.number)),
        ),
        text(tags::STUDY_DATE, VR::DA, day),
        text(tags::CONTENT_DATE, VR::DA, day),
        text(tags::STUDY_TIME, VR::TM, "120000"),
        text(tags::CONTENT_TIME, VR::TM, "120000"),
        text(tags::ACCESSION_NUMBER, VR::SH, ""),
        text(tags::MODALITY, VR::CS, "CT"),
        text(tags::MANUFACTURER, VR::LO, "synthetic"),
        text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, ""),
        text(tags::STATION_NAME, VR::SH, header.station),
        text(tags::STUDY_DESCRIPTION, VR::LO, "phantom chest"),
        text(tags::SERIES_DESCRIPTION, VR::LO, "axial"),
        text(tags::MANUFACTURER_MODEL_NAME, VR::LO, "phantom"),
        text(tags::PATIENT_NAME, VR::PN, header.patient),
        text(tags::PATIENT_ID, VR::LO, header.patient),
        text(tags::PATIENT_BIRTH_DATE, VR::DA, ""),
        text(tags::PATIENT_SEX, VR::CS, ""),
        text(tags::BODY_PART_EXAMINED, VR::CS, "CHEST"),
        text(tags::SLICE_THICKNESS, VR::DS, &decimal(header.thickness_mm)),
        text(tags::KVP, VR::DS, "120"),
        text(tags::CONVOLUTION_KERNEL, VR::SH, header.kernel),
        text(tags::PATIENT_POSITION, VR::CS, "HFS"),
        text(tags::STUDY_INSTANCE_UID, VR::UI, &uid("study")),
        text(tags::SERIES_INSTANCE_UID, VR::UI, &uid("series")),
        text(tags::STUDY_ID, VR::SH, "1"),
        text(tags::SERIES_NUMBER, VR::IS, "1"),
        text(tags::ACQUISITION_NUMBER, VR::IS, "1"),
        text(tags::INSTANCE_NUMBER, VR::IS, &header.number.to_string()),
        text(
            tags::IMAGE_POSITION_PATIENT,
            VR::DS,
            &[-half, -half, header.z_mm].map(decimal).join("\\"),
        ),
        text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0"),
        text(tags::FRAME_OF_REFERENCE_UID, VR::UI, &uid("frame of reference")),
        text(tags::POSITION_REFERENCE_INDICATOR, VR::LO, ""),
        text(tags::SLICE_LOCATION, VR::DS, &decimal(header.z_mm)),
        short(tags::SAMPLES_PER_PIXEL, 1),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        short(tags::ROWS, header.size as u16),
        short(tags::COLUMNS, header.size as u16),
        text(
            tags::PIXEL_SPACING,
            VR::DS,
            &[header.spacing_mm; 2].map(decimal).join("\\"),
        ),
        short(tags::BITS_ALLOCATED, 16),
        short(tags::BITS_STORED, 12),
        short(tags::HIGH_BIT, 11),
        short(tags::PIXEL_REPRESENTATION, 0),
        text(tags::WINDOW_CENTER, VR::DS, "-600"),
        text(tags::WINDOW_WIDTH, VR::DS, "1500"),
        text(tags::RESCALE_INTERCEPT, VR::DS, &INTERCEPT.to_string()),
        text(tags::RESCALE_SLOPE, VR::DS, "1"),
        text(tags::RESCALE_TYPE, VR::LO, "HU"),
        DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())),
    ]);
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let file = object
        .with_meta(meta)
        .expect("the class and the instance are set above");
    let mut bytes = Vec::new();
    file.write_all(&mut bytes)
        .expect("memory does not fail, and all values above fit their representation");
    bytes
}

/// A UID under 2.25 (PS3.5 B.2) from a hash.
fn uid(what: &str) -> String {
    let hash = Sha256::digest(what);
    let half: [u8; 16] = hash[..16].try_into().expect("SHA-256 has 32 bytes");
    format!("2.25.{}", u128::from_be_bytes(half))
}
