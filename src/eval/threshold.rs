//! The decision threshold: chosen once on one set, then frozen (Youden, Cancer 1950,
//! doi:10.1002/1097-0142(1950)3:1<32::aid-cncr2820030106>3.0.co;2-3).

use serde::de::Error as _;

use super::{EvalError, Pooling, Scores, Unit};
use crate::stats::{OperatingRule, Ranking, operating_point};

/// By which rule the threshold is chosen. In a recipe `"youden"`, `{ sensitivity = 0.98 }` or `{ specificity = 0.9 }`.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdRule {
    /// The largest sensitivity + specificity - 1; of equal ones that with the higher sensitivity.
    #[default]
    Youden,
    /// The highest threshold that reaches this sensitivity, hence the highest specificity with it.
    Sensitivity(#[serde(deserialize_with = "target")] f64),
    /// The lowest threshold that reaches this specificity, hence the highest sensitivity with it.
    Specificity(#[serde(deserialize_with = "target")] f64),
}

/// A threshold and where it comes from: a unit is called positive if its score is at least the value.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The threshold, in units of the score.
    pub value: f64,
    /// The rule that chose it.
    pub rule: ThresholdRule,
    /// The set that it was chosen on.
    pub set: String,
    /// What one score was of.
    pub unit: Unit,
    /// How scores of slices became one of the unit.
    #[serde(default)]
    pub pool: Pooling,
    /// Sensitivity that it had on that set: optimistic, since it was chosen there.
    pub sensitivity: f64,
    /// Specificity that it had on that set: optimistic, since it was chosen there.
    pub specificity: f64,
}

impl std::fmt::Display for ThresholdRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Youden => f.write_str("Youden"),
            Self::Sensitivity(target) => write!(f, "sensitivity at least {target}"),
            Self::Specificity(target) => write!(f, "specificity at least {target}"),
        }
    }
}

impl std::fmt::Display for Threshold {
    /// `0.4120 (Youden on validation)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} on {})", self.rounded(), self.rule, self.set)
    }
}

impl Threshold {
    /// The value to four significant digits, and to no more decimals than a small score needs.
    pub fn rounded(&self) -> String {
        let decimals = match self.value.abs() {
            size if size < f64::MIN_POSITIVE => 1,
            size => (3 - size.log10().floor() as i32).clamp(0, 12) as usize,
        };
        format!("{:.decimals$}", self.value)
    }
}

/// Chooses the threshold on one set's scores, pooled to `unit` by `pool`.
///
/// Candidates are those of [`operating_point`]: half-way between neighbouring scores.
pub fn choose_threshold(
    set: &str,
    unit: Unit,
    pool: Pooling,
    scores: &Scores,
    rule: ThresholdRule,
) -> Result<Threshold, EvalError> {
    let pooled = scores.pool(unit, pool)?.scores;
    let positives = pooled.positive().iter().filter(|&&positive| positive).count();
    let negatives = pooled.len() - positives;
    if positives == 0 || negatives == 0 {
        let set = set.to_owned();
        return Err(EvalError::OneClass {
            positives,
            negatives,
            set,
        });
    }
    let operating = match rule {
        ThresholdRule::Youden => OperatingRule::Youden,
        ThresholdRule::Sensitivity(wanted) => OperatingRule::Sensitivity(check(wanted)?),
        ThresholdRule::Specificity(wanted) => OperatingRule::Specificity(check(wanted)?),
    };
    let ranking = Ranking::new(pooled.positive(), pooled.score());
    let point = operating_point(&ranking, &vec![1; pooled.len()], operating).expect("both classes were counted");
    Ok(Threshold {
        value: point.threshold,
        rule,
        set: set.to_owned(),
        unit,
        pool,
        sensitivity: point.sensitivity,
        specificity: point.specificity,
    })
}

fn check(found: f64) -> Result<f64, EvalError> {
    if found > 0.0 && found <= 1.0 {
        Ok(found)
    } else {
        Err(EvalError::Target { found })
    }
}

/// Refuses a target with the recipe's line and caret.
fn target<'de, D: serde::Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    check(serde::Deserialize::deserialize(input)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::{EvalError, Pooling, Scores, ThresholdRule, Unit, choose_threshold};

    fn chosen(positive: &[u8], score: &[f64], rule: ThresholdRule) -> (f64, f64, f64) {
        let positive = positive.iter().map(|&positive| positive == 1).collect();
        let patients = (0..score.len()).collect();
        let scores = Scores::new(positive, score.to_vec(), patients).unwrap();
        let threshold = choose_threshold("validation", Unit::Slice, Pooling::Mean, &scores, rule).unwrap();
        (threshold.value, threshold.sensitivity, threshold.specificity)
    }

    #[test]
    fn each_rule_takes_the_best_threshold_half_way_between_scores() {
        let (positive, score) = ([1, 1, 0, 1, 0, 0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        let third = 2.0 / 3.0;
        assert_eq!(chosen(&positive, &score, ThresholdRule::Youden), (2.5, 1.0, third));
        assert_eq!(
            chosen(&positive, &score, ThresholdRule::Sensitivity(0.5)),
            (4.5, third, 1.0)
        );
        assert_eq!(
            chosen(&positive, &score, ThresholdRule::Sensitivity(1.0)),
            (2.5, 1.0, third)
        );
        assert_eq!(
            chosen(&positive, &score, ThresholdRule::Specificity(1.0)),
            (4.5, third, 1.0)
        );
        assert_eq!(
            chosen(&positive, &score, ThresholdRule::Specificity(0.3)),
            (1.5, 1.0, 1.0 / 3.0)
        );
    }

    #[test]
    fn ends_of_the_scale_are_thresholds_too() {
        let (value, sensitivity, specificity) = chosen(&[0, 1], &[2.0, 1.0], ThresholdRule::Specificity(1.0));
        assert!(value > 2.0 && (sensitivity, specificity) == (0.0, 1.0), "{value}");
        assert_eq!(
            chosen(&[0, 1], &[2.0, 1.0], ThresholdRule::Sensitivity(1.0)),
            (1.0, 1.0, 0.0)
        );
        let above = 1_f64.next_up();
        assert_eq!(chosen(&[0, 1], &[1.0, above], ThresholdRule::Youden), (above, 1.0, 1.0));
    }

    #[test]
    fn one_class_has_no_threshold() {
        let scores = Scores::new(vec![true, true], vec![0.0, 1.0], vec![0, 1]).unwrap();
        let error = choose_threshold(
            "validation",
            Unit::Patient,
            Pooling::Mean,
            &scores,
            ThresholdRule::Youden,
        )
        .unwrap_err();
        assert!(matches!(
            error,
            EvalError::OneClass {
                positives: 2,
                negatives: 0,
                ..
            }
        ));
    }

    #[test]
    fn a_recipe_names_the_rule() {
        #[derive(serde::Deserialize, serde::Serialize)]
        struct Probe {
            threshold: ThresholdRule,
        }
        let parse = |text: &str| toml::from_str::<Probe>(text).map(|probe| probe.threshold);
        assert_eq!(parse("threshold = 'youden'").unwrap(), ThresholdRule::Youden);
        let rule = ThresholdRule::Sensitivity(0.98);
        assert_eq!(parse("threshold = { sensitivity = 0.98 }").unwrap(), rule);
        let text = toml::to_string(&Probe { threshold: rule }).unwrap();
        assert_eq!(parse(&text).unwrap(), rule);
        let error = parse("threshold = { sensitivity = 98 }").unwrap_err().to_string();
        assert!(error.contains("98 % is 0.98") && error.contains('^'), "{error}");
        assert!(parse("threshold = 'best'").unwrap_err().to_string().contains("youden"));
    }

    #[test]
    fn a_threshold_says_where_it_comes_from() {
        let scores = Scores::new(vec![true, false], vec![0.524, 0.3], vec![0, 1]).unwrap();
        let threshold =
            choose_threshold("validation", Unit::Slice, Pooling::Mean, &scores, ThresholdRule::Youden).unwrap();
        assert_eq!(threshold.to_string(), "0.4120 (Youden on validation)");
    }
}
