//! The rules by which faces are named: the server's, a tenant's, a request's.

use crate::{
    domain::{MatchingSettings, NamingRules},
    error::{Error, Result},
};

/// The rules of naming that apply where neither a request nor its tenant sets any.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// Within a roster.
    pub roster: NamingRules,
    /// In the whole gallery, where every face meets more strangers.
    pub gallery: NamingRules,
}

impl Naming {
    /// The rules with a tenant's own. Two people look like one where the one would be named as the other.
    pub(super) fn with(self, own: MatchingSettings) -> Self {
        let margin = own.margin;
        let one_look = own.gallery_threshold.unwrap_or(self.gallery.threshold);
        let changed = |rules: NamingRules, threshold: Option<f32>| NamingRules {
            threshold: threshold.unwrap_or(rules.threshold),
            margin: margin.unwrap_or(rules.margin),
            one_look,
            ..rules
        };
        Self {
            roster: changed(self.roster, own.roster_threshold),
            gallery: changed(self.gallery, own.gallery_threshold),
        }
    }
}

/// What a request may set of the rules of naming.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleChanges {
    /// The least similarity, -1..=1.
    pub threshold: Option<f32>,
    /// The least lead, -1..=2.
    pub margin: Option<f32>,
}

impl RuleChanges {
    /// The rules with the request's changes.
    ///
    /// # Errors
    /// `Invalid` for a value that no similarity can reach.
    pub(in crate::service) fn apply(self, rules: NamingRules) -> Result<NamingRules> {
        self.check()?;
        let (threshold, margin) = (self.threshold.unwrap_or(rules.threshold), self.margin.unwrap_or(rules.margin));
        Ok(NamingRules { threshold, margin, ..rules })
    }

    /// The same where people are marked: what the request says may be stricter than the tenant's rules, never laxer.
    ///
    /// # Errors
    /// `Invalid` `invalid_threshold`, `invalid_margin`, or `laxer_than_tenant`.
    pub(in crate::service) fn tighten(self, rules: NamingRules) -> Result<NamingRules> {
        let asked = self.apply(rules)?;
        let values = [("threshold", asked.threshold, rules.threshold), ("margin", asked.margin, rules.margin)];
        for (field, value, least) in values {
            if value < least {
                let message = format!(
                    "{field} is {value}, and the tenant's own is {least}: a request that marks people may be stricter, \
                     never laxer; leave {field} out, or send mark=false to look only"
                );
                let details = serde_json::json!({ "field": field, "least": least });
                return Err(Error::invalid(message).with_code("laxer_than_tenant").with_details(details));
            }
        }
        Ok(asked)
    }

    /// The changes where the tenant's rules may have become stricter since they were accepted: of both the stricter.
    pub(in crate::service) fn no_laxer_than(self, rules: NamingRules) -> Self {
        let [threshold, margin] = [(self.threshold, rules.threshold), (self.margin, rules.margin)]
            .map(|(asked, least)| asked.map(|asked| asked.max(least)));
        Self { threshold, margin }
    }

    /// Errors: `Invalid` for a value that no similarity can reach.
    pub(in crate::service) fn check(self) -> Result<()> {
        if !self.threshold.is_none_or(|threshold| (-1.0..=1.0).contains(&threshold)) {
            return Err(Error::invalid("threshold is a cosine between -1 and 1").with_code("invalid_threshold"));
        }
        if !self.margin.is_none_or(|margin| (0.0..=2.0).contains(&margin)) {
            return Err(Error::invalid("margin is a difference of cosines between 0 and 2").with_code("invalid_margin"));
        }
        Ok(())
    }
}
