//! Distribution functions and quantiles in the form that tests and intervals ask for; the numerics are statrs'.
//!
//! Arguments are checked by the callers' own errors: everything here wants finite numbers and positive degrees of
//! freedom, and says so by a panic.

use statrs::{
    distribution::{
        Beta, Binomial, ChiSquared, ContinuousCDF as _, DiscreteCDF as _, FisherSnedecor, Normal, StudentsT,
    },
    function::{factorial::ln_binomial, gamma},
};

use super::StatsError;

/// P(Z <= x) of the standard normal.
pub fn normal_cdf(x: f64) -> f64 {
    // Not statrs', whose error function is good to 1e-10 only.
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// The x with P(Z <= x) = p, for p between 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    let x = Normal::standard().inverse_cdf(p);
    // One Newton step in the tail that keeps its digits: the inverse alone is good to 1e-10 only.
    let (tail, sign) = if p < 0.5 { (x, 1.0) } else { (-x, -1.0) };
    let mass = if p < 0.5 { p } else { 1.0 - p };
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if density == 0.0 {
        return x;
    }
    x - sign * (normal_cdf(tail) - mass) / density
}

/// Two-sided p-value of a standard normal statistic.
pub fn normal_two_sided(z: f64) -> f64 {
    (2.0 * normal_cdf(-z.abs())).min(1.0)
}

/// The z of a two-sided confidence level: 1.96 for 0.95.
pub fn z_of_level(level: f64) -> Result<f64, StatsError> {
    if !(level > 0.0 && level < 1.0) {
        return Err(StatsError::Level { found: level });
    }
    Ok(-normal_quantile((1.0 - level) / 2.0))
}

/// P(X >= x) of chi-squared with `df` degrees of freedom.
pub fn chi_squared_upper(x: f64, df: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    ChiSquared::new(df).expect("degrees of freedom are positive").sf(x)
}

/// Two-sided p-value of Student's t, `df` need not be whole.
pub fn t_two_sided(t: f64, df: f64) -> f64 {
    let t_distribution = StudentsT::new(0.0, 1.0, df).expect("degrees of freedom are positive");
    (2.0 * t_distribution.cdf(-t.abs())).min(1.0)
}

/// The t with P(T <= t) = p.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df)
        .expect("degrees of freedom are positive")
        .inverse_cdf(p)
}

/// P(F >= f) of the F distribution.
pub fn f_upper(f: f64, df1: f64, df2: f64) -> f64 {
    if f <= 0.0 {
        return 1.0;
    }
    FisherSnedecor::new(df1, df2)
        .expect("degrees of freedom are positive")
        .sf(f)
}

/// The x with P(X <= x) = p of Beta(a, b).
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    Beta::new(a, b).expect("shapes are positive").inverse_cdf(p)
}

/// The natural logarithm of the gamma function, for positive x.
pub fn ln_gamma(x: f64) -> f64 {
    gamma::ln_gamma(x)
}

/// The natural logarithm of "n choose k".
pub fn ln_choose(n: u64, k: u64) -> f64 {
    ln_binomial(n, k)
}

/// P(X <= k) of n trials with success probability p.
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    Binomial::new(p, n).expect("a probability lies in [0, 1]").cdf(k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        let error = (found - expected).abs() / expected.abs().max(1e-300);
        assert!(error < 1e-11, "{found} for {expected}: relative error {error:e}");
    }

    /// Expected: scipy 1.17 (`norm.ppf`, `norm.sf`, `chi2.sf`, `t.sf`, `t.ppf`, `f.sf`, `beta.ppf`, `binom.cdf`).
    #[test]
    fn values_are_scipys() {
        near(normal_quantile(1e-12) + 10.0, 2.9655161746988687);
        near(normal_quantile(0.005) + 10.0, 7.4241706964511);
        near(normal_quantile(0.025) + 10.0, 8.040036015459945);
        near(normal_quantile(0.3) + 10.0, 9.475599487291959);
        near(normal_quantile(0.5) + 10.0, 10.0);
        near(normal_quantile(0.9) + 10.0, 11.2815515655446);
        near(normal_quantile(0.975) + 10.0, 11.959963984540053);
        near(normal_quantile(0.9995) + 10.0, 13.290526731491926);
        near(normal_two_sided(0.1), 0.920344325445942);
        near(normal_two_sided(1.96), 0.04999579029644087);
        near(normal_two_sided(-2.5), 0.012419330651552265);
        near(normal_two_sided(8.0), 1.244192114854348e-15);
        near(chi_squared_upper(0.5, 1.0), 0.47950012218695337);
        near(chi_squared_upper(3.84, 1.0), 0.05004352124870519);
        near(chi_squared_upper(17.63, 2.0), 0.00014848895196963914);
        near(chi_squared_upper(60.0, 3.0), 5.878230727906921e-13);
        near(t_two_sided(0.3, 5.0), 0.7762490422632745);
        near(t_two_sided(-2.02, 199.0), 0.044724145395591955);
        near(t_two_sided(3.1, 17.35), 0.006385526896435853);
        near(t_two_sided(12.0, 30.0), 5.580185415199261e-13);
        near(t_quantile(0.975, 10.0), 2.228138851986274);
        near(t_quantile(0.995, 3.7), 4.8692522532278275);
        near(f_upper(4.83, 2.0, 148.0), 0.009289114035908954);
        near(f_upper(0.5, 3.0, 20.0), 0.686518612836403);
        near(beta_quantile(0.025, 12.0, 4.0), 0.5191088661931469);
        near(beta_quantile(0.975, 13.0, 3.0), 0.9566879948941633);
        near(beta_quantile(0.025, 1.0, 50.0), 0.000506227983040829);
        near(beta_quantile(0.975, 49.0, 2.0), 0.9951185665738356);
        near(ln_choose(50, 14), 27.56685122689113);
        near(ln_gamma(0.5), 0.5723649429247);
        near(binomial_cdf(7, 20, 0.3), 0.7722717974181608);
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        for level in [0.0, 1.0, 95.0, f64::NAN] {
            assert!(z_of_level(level).is_err());
        }
    }
}
