//! Made slices for the tests of this room.

use std::{
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicU32, Ordering},
};

use super::slice::{Image, Place, SeriesFacts, Slice};
use crate::{ct::Rescale, readers::SliceAddress};

/// An axial slice of one patient at this height, with a name, an identity and pixels of its own.
pub(super) fn slice(z: f64) -> Slice {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut sha256 = [0; 32];
    sha256[..4].copy_from_slice(&next.to_le_bytes());
    let series = Arc::new(SeriesFacts {
        patient_id: Some("PAT-SECRET".to_owned()),
        study: Some("1.2.3".to_owned()),
        series: "1.2.3.4".to_owned(),
        ..SeriesFacts::default()
    });
    Slice {
        instance: Some((u128::from(next), 0)),
        place: Place::of([-100.0, -100.0, z], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        pixel_spacing: Some([0.7, 0.7]),
        thickness: Some(5.0),
        rescale: Some(Rescale {
            slope: 1.0,
            intercept: -1024.0,
        }),
        rows: 512,
        columns: 512,
        image: Some(Image {
            sha256,
            range: Some((-1000.0, 1000.0)),
            mean: Some(-500.0),
            padded: 0.0,
            lung: 0.2,
        }),
        ..Slice::at(SliceAddress::of(Path::new(&format!("/data/{next:04}"))), 0, &series)
    }
}
