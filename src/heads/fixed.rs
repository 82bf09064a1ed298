//! A head whose open hyperparameters were chosen elsewhere.

use std::collections::BTreeMap;

use super::{Gamma, HeadConfig, Hyperparameter, Lambda};

impl HeadConfig {
    /// The same head with hyperparameters that were chosen before (`FitSummary::chosen`), so that it can be fitted on
    /// parts of the same rows without choosing again.
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// use hounsfield::heads::{HeadConfig, Hyperparameter};
    /// let open: HeadConfig = HeadConfig::all().into_iter().find(|head| head.name() == "knn").unwrap();
    /// let chosen = BTreeMap::from([("k".to_owned(), Hyperparameter::Number(9.0))]);
    /// let HeadConfig::Knn(knn) = open.fixed(&chosen) else { unreachable!() };
    /// assert_eq!(knn.k, Some(9));
    /// ```
    #[must_use]
    pub fn fixed(&self, chosen: &BTreeMap<String, Hyperparameter>) -> Self {
        let number = |name: &str| match chosen.get(name) {
            Some(Hyperparameter::Number(number)) => Some(*number),
            _ => None,
        };
        let mut head = self.clone();
        match &mut head {
            Self::Linear(config) => {
                if let Some(lambda) = number("lambda") {
                    config.lambda = Lambda::Value(lambda);
                }
            }
            Self::Logistic(config) => config.c = number("c").or(config.c),
            Self::SvmLinear(config) => config.c = number("c").or(config.c),
            Self::SvmRbf(config) => {
                config.c = number("c").or(config.c);
                config.gamma = number("gamma").map(Gamma::Value).or(config.gamma);
            }
            Self::Knn(config) => config.k = number("k").map(|k| k as usize).or(config.k),
        }
        head
    }
}
