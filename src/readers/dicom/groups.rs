//! Functional groups of enhanced multi-frame objects (PS3.3 C.7.6.16): what holds for all frames, and what for one.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::values::items;

/// Attributes of frames, with the group that holds them (PS3.3 C.7.6.16.2 and C.8.15.3).
pub(super) const POSITION: (Tag, Tag) = (tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT);
pub(super) const ORIENTATION: (Tag, Tag) = (tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT);
pub(super) const SPACING: (Tag, Tag) = (tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING);
pub(super) const THICKNESS: (Tag, Tag) = (tags::PIXEL_MEASURES_SEQUENCE, tags::SLICE_THICKNESS);
pub(super) const SLOPE: (Tag, Tag) = (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_SLOPE);
pub(super) const INTERCEPT: (Tag, Tag) = (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_INTERCEPT);
pub(super) const UNIT: (Tag, Tag) = (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_TYPE);
/// The rescale type of Hounsfield units.
pub(super) const HOUNSFIELD: &str = "HU";
pub(super) const FRAME_TYPE: (Tag, Tag) = (tags::CT_IMAGE_FRAME_TYPE_SEQUENCE, tags::FRAME_TYPE);
pub(super) const ACQUISITION: (Tag, Tag) = (tags::FRAME_CONTENT_SEQUENCE, tags::FRAME_ACQUISITION_NUMBER);
pub(super) const TEMPORAL: (Tag, Tag) = (tags::FRAME_CONTENT_SEQUENCE, tags::TEMPORAL_POSITION_INDEX);
pub(super) const KERNEL: (Tag, Tag) = (tags::CT_RECONSTRUCTION_SEQUENCE, tags::CONVOLUTION_KERNEL);
pub(super) const KVP: (Tag, Tag) = (tags::CTX_RAY_DETAILS_SEQUENCE, tags::KVP);
pub(super) const TILT: (Tag, Tag) = (tags::CT_ACQUISITION_DETAILS_SEQUENCE, tags::GANTRY_DETECTOR_TILT);

/// How an attribute is read: one of the functions of [`super::values`].
type Value<T> = fn(&InMemDicomObject, Tag) -> Option<T>;

/// What is said of the frames of a file. A plain image says it in its own attributes.
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    image: &'a InMemDicomObject,
    shared: Option<&'a InMemDicomObject>,
    frames: &'a [InMemDicomObject],
}

impl<'a> Groups<'a> {
    pub fn of(image: &'a InMemDicomObject) -> Self {
        Self {
            image,
            shared: items(image, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first(),
            frames: items(image, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE),
        }
    }

    /// How many frames have groups of their own.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// An attribute of a frame, from the frame's own item of the group, or the shared one, or the image itself: it stands
    /// in one of them.
    pub fn read<T>(&self, frame: usize, (group, attribute): (Tag, Tag), value: Value<T>) -> Option<T> {
        value(self.object(frame, group, attribute), attribute)
    }

    fn object(&self, frame: usize, group: Tag, attribute: Tag) -> &'a InMemDicomObject {
        let own = self.frames.get(frame).into_iter().chain(self.shared);
        let mut groups = own.filter_map(|object| items(object, group).first());
        groups
            .find(|object| object.get(attribute).is_some())
            .unwrap_or(self.image)
    }
}
