//! Why something that lies in a folder is no row of its table.

use std::fmt;

use crate::{
    readers::{Refusal, SliceAddress},
    words::counted,
};

/// A file, or a slice of one, that is no row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// Where it is.
    pub address: SliceAddress,
    /// Why.
    pub reason: Reason,
}

/// Why something is left out. The words of a reason hold no identifier.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// No image by its first bytes.
    NoImage,
    /// Its name starts with a dot.
    Hidden,
    /// A link that leads out of the folder, or to another folder.
    Link,
    /// A file that was reached before, by a link or below another folder that was asked for.
    SameFile,
    /// A member of an archive that is never read.
    Refused(Refusal),
    /// DICOMDIR: a list of other files.
    Directory,
    /// A name that no table can hold.
    Name,
    /// A picture, which has lost its Hounsfield units.
    Picture,
    /// A volume whose values are no Hounsfield units of a body; its lowest value.
    NoHu(f32),
    /// Values that are no Hounsfield units of anything: the lowest and the highest.
    BeyondHu(f32, f32),
    /// DICOM, but not CT.
    NotCt,
    /// A localizer (scout, topogram).
    Localizer,
    /// A picture of a screen.
    SecondaryCapture,
    /// Computed of other slices; the word of Image Type that says so.
    Derived(&'static str),
    /// Not axial; what instead.
    NotAxial(&'static str),
    /// Turned against most slices of its series.
    Turned,
    /// No usable position or orientation.
    NoPlace,
    /// Another file has the same SOP Instance UID, and the same pixels (true) or the same place in the same series.
    SameInstance(bool),
    /// Another slice of the scan has the same pixels at the same position.
    SamePixels,
    /// A scan of too few slices; how many it has.
    FewSlices(usize),
    /// A selection of the user did not take it.
    NotSelected,
    /// The reader refuses it; its sentence, without a path.
    Unreadable(String),
}

impl Reason {
    /// A word for tables and counts.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoImage => "no image",
            Self::Hidden => "hidden file",
            Self::Link => "link",
            Self::Refused(_) => "refused member",
            Self::Directory => "DICOMDIR",
            Self::Name => "file name",
            Self::Picture => "picture",
            Self::NoHu(_) => "no Hounsfield units",
            Self::NotCt => "not CT",
            Self::Localizer => "localizer",
            Self::SecondaryCapture => "secondary capture",
            Self::Derived(_) => "derived image",
            Self::NotAxial(_) => "not axial",
            Self::Turned => "mixed orientation",
            Self::NoPlace => "no position",
            Self::SameFile | Self::SameInstance(_) | Self::SamePixels => "duplicate",
            Self::FewSlices(_) => "few slices",
            Self::NotSelected => "not selected",
            Self::BeyondHu(..) | Self::Unreadable(_) => "unreadable",
        }
    }

    /// Whether something went wrong, rather than that something else lay there.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::BeyondHu(..) | Self::Unreadable(_) | Self::Name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImage => f.write_str("no CT file by its first bytes"),
            Self::Hidden => f.write_str("its name, or its folder's, starts with a dot"),
            Self::Link => f.write_str("a link to another folder: name its target to read it"),
            Self::SameFile => f.write_str("a file that was read before, by a link or below another folder"),
            Self::Refused(why) => write!(f, "a member of the archive {why}"),
            Self::Directory => f.write_str("a list of other files"),
            Self::Name => f.write_str("its name is no text that a table could hold: rename it"),
            Self::Picture => f.write_str("a picture, which has no Hounsfield units"),
            Self::NoHu(lowest) => write!(
                f,
                "a volume whose lowest value is {lowest}: a mask, or not CT, since air around a body is below {} HU",
                super::look::NO_AIR
            ),
            Self::BeyondHu(lowest, highest) => write!(
                f,
                "its values reach from {lowest} to {highest}, which are no Hounsfield units: look at its rescale slope and intercept"
            ),
            Self::NotCt => f.write_str("a DICOM object that is no CT image"),
            Self::Localizer => f.write_str("a localizer by Image Type"),
            Self::SecondaryCapture => f.write_str("a secondary capture, which has no Hounsfield units"),
            Self::Derived(word) => write!(f, "computed of other slices: {word} in Image Type"),
            Self::NotAxial(plane) => write!(f, "{plane}, not axial"),
            Self::Turned => f.write_str("turned against most slices of its series"),
            Self::NoPlace => f.write_str(
                "no usable Image Position or Image Orientation (Patient): slices are ordered by nothing else",
            ),
            Self::SameInstance(true) => f.write_str("the same SOP Instance UID and pixels as another file"),
            Self::SameInstance(false) => {
                f.write_str("the same SOP Instance UID and position as another file of its series, but other pixels")
            }
            Self::SamePixels => f.write_str("the same pixels at the same position as another slice of the scan"),
            Self::FewSlices(n) => write!(f, "its scan has {}, fewer than were asked for", counted(*n, "slice")),
            Self::NotSelected => f.write_str("not selected"),
            Self::Unreadable(sentence) => f.write_str(sentence),
        }
    }
}
