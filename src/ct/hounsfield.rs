//! Hounsfield units and display windows (DICOM PS3.3 C.11.2.1.2).

/// An attenuation in Hounsfield units: water is 0, air is -1000.
pub type Hu = f32;

/// A window on the Hounsfield scale, as DICOM states it: Window Center and Window Width.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HuWindow {
    /// The middle of the window.
    pub center: Hu,
    /// From its lower to its upper end; positive.
    pub width: Hu,
}

impl HuWindow {
    /// Lung parenchyma: -1350 to 150 HU.
    pub const LUNG: Self = Self {
        center: -600.0,
        width: 1500.0,
    };
    /// Mediastinum and soft tissue: -160 to 240 HU.
    pub const MEDIASTINUM: Self = Self {
        center: 40.0,
        width: 400.0,
    };
    /// Nearly all that a chest holds: -1000 to 1000 HU.
    pub const WIDE: Self = Self {
        center: 0.0,
        width: 2000.0,
    };

    /// The value's place in the window, in `[0, 1]`; values outside are clipped. Linear between the window's exact
    /// ends, without the half-pixel of DICOM's `LINEAR` function (PS3.3 C.11.2.1.3.2, `LINEAR_EXACT`).
    ///
    /// ```
    /// use hounsfield::ct::HuWindow;
    /// assert_eq!(HuWindow::LUNG.normalize(-600.0), 0.5);
    /// assert_eq!(HuWindow::LUNG.normalize(3000.0), 1.0);
    /// ```
    pub fn normalize(&self, hu: Hu) -> f32 {
        ((hu - self.center) / self.width + 0.5).clamp(0.0, 1.0)
    }
}
