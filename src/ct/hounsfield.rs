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

/// How stored values become Hounsfield units: Rescale Slope and Rescale Intercept (PS3.3 C.11.1.1.2).
///
/// ```
/// use hounsfield::ct::Rescale;
/// let rescale: Rescale = "1,-1024".parse()?;
/// assert_eq!(rescale.hu(1024), 0.0);
/// assert_eq!(rescale.to_string(), "1,-1024");
/// # Ok::<(), hounsfield::ct::RescaleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rescale {
    /// Hounsfield units a stored step; never 0.
    pub slope: f64,
    /// Hounsfield units of the stored value 0.
    pub intercept: f64,
}

impl Rescale {
    /// The Hounsfield units of a stored value.
    pub fn hu(&self, stored: i32) -> Hu {
        (f64::from(stored) * self.slope + self.intercept) as Hu
    }
}

impl std::fmt::Display for Rescale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{}", self.slope, self.intercept)
    }
}

/// A text that is no rescale.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("found `{found}`, expected a slope other than 0 and an intercept, e.g. `1,-1024`")]
pub struct RescaleError {
    found: String,
}

impl std::str::FromStr for Rescale {
    type Err = RescaleError;

    fn from_str(text: &str) -> Result<Self, RescaleError> {
        let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        let (slope, intercept) = text.split_once(',').unwrap_or_default();
        match (number(slope), number(intercept)) {
            (Some(slope), Some(intercept)) if slope != 0.0 => Ok(Self { slope, intercept }),
            _ => Err(RescaleError { found: text.to_owned() }),
        }
    }
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

    /// Bone of the spine and the ribs: -500 to 1300 HU (Murphy et al., "Windowing (CT)", Radiopaedia.org, spine).
    pub const BONE: Self = Self {
        center: 400.0,
        width: 1800.0,
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
