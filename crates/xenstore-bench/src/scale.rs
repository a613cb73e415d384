//! The scale of a plot: where a value is drawn, and what is written beside it.

use crate::figure::Unit;

/// How many times as much the largest value has to be for a scale on which equal steps are
/// equal factors. On any other the smallest would not be seen.
const WIDE: f64 = 50.0;

/// Values along an axis.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Where the lowest and the highest are drawn.
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale for these values, drawn from one place to another. It begins at 0, or, if they
    /// are far apart, at a power of ten below the smallest.
    pub fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive = values.filter(|value| value.is_finite() && *value > 0.0);
        let bounds = positive
            .fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let (least, most) = if bounds.1 > 0.0 { bounds } else { (1.0, 1.0) };
        let logarithmic = most / least >= WIDE;
        // The smallest should be seen to be something.
        let low = if logarithmic { 10_f64.powf((least * 0.8).log10().floor()) } else { 0.0 };
        Self { low, high: most, logarithmic, from, to }
    }

    /// A scale on which these values, the lowest first, are all there is to mark.
    pub fn through(values: &[f64], from: f64, to: f64) -> Self {
        let scale = Self::of(values.iter().copied(), from, to);
        match values.iter().copied().find(|value| *value > 0.0) {
            Some(least) if scale.logarithmic => Self { low: least, ..scale },
            _ => scale,
        }
    }

    /// Where a value is drawn; what is too small for the scale, at its beginning.
    pub fn place(&self, value: f64) -> f64 {
        let share = if !self.logarithmic {
            value / self.high
        } else if value > self.low {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            0.0
        };
        self.from + share * (self.to - self.from)
    }

    /// Where it begins.
    pub fn begin(&self) -> f64 {
        self.from
    }

    /// A few values on it that are round when they are shown as of this unit.
    pub fn ticks(&self, unit: Unit) -> Vec<f64> {
        if self.logarithmic {
            let (first, last) = (self.low.log10().round(), self.high.log10().floor());
            let step = ((last - first) / 5.0).ceil().max(1.0);
            let powers = (0..=5).map(|count| first + step * f64::from(count));
            return powers
                .take_while(|power| *power <= last)
                .map(|power| 10_f64.powf(power))
                .collect();
        }
        let one = unit.one(self.high);
        let high = self.high / one;
        let power = 10_f64.powf((high / 5.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| high / step <= 5.0).unwrap_or(high);
        let all = (0..=5).map(|count| step * f64::from(count));
        all.take_while(|tick| *tick <= high * 1.001).map(|tick| tick * one).collect()
    }

    /// What a reader has to know of it, if anything.
    pub fn remark(&self) -> &'static str {
        if self.logarithmic { "Scale logarithmic." } else { "" }
    }
}

/// A round value in as little room as possible.
pub fn abbreviated(value: f64, unit: Unit) -> String {
    match unit {
        _ if value == 0.0 => "0".to_owned(),
        Unit::Number | Unit::PerSecond => {
            let suffix = if unit == Unit::PerSecond { "/s" } else { "" };
            let (value, letter) = match value {
                value if value >= 1e6 => (value / 1e6, "M"),
                value if value >= 1e3 => (value / 1e3, "k"),
                value => (value, ""),
            };
            // Up to three digits behind the point, and no zeros at the end.
            let digits = format!("{value:.3}");
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}{letter}{suffix}")
        }
        unit => {
            let shown = unit.show(value);
            let (digits, name) = shown.split_once(' ').unwrap_or((&shown, ""));
            let digits = if digits.contains('.') {
                digits.trim_end_matches('0').trim_end_matches('.')
            } else {
                digits
            };
            format!("{digits} {name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(values: &[f64]) -> Scale {
        Scale::of(values.iter().copied(), 100.0, 200.0)
    }

    fn drawn<const N: usize>(scale: Scale, values: [f64; N]) -> [String; N] {
        values.map(|value| format!("{:.0}", scale.place(value)))
    }

    #[test]
    fn values_that_are_near_each_other_are_drawn_from_zero() {
        let scale = scale(&[3.0, 8.0]);
        assert_eq!(drawn(scale, [0.0, 4.0, 8.0]), ["100", "150", "200"]);
        assert_eq!(scale.ticks(Unit::Number), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(scale.remark(), "");
    }

    #[test]
    fn values_that_are_far_from_each_other_are_drawn_by_factors() {
        let scale = scale(&[0.1, 1_000.0]);
        assert_eq!(drawn(scale, [0.0, 0.01, 1.0, 1_000.0]), ["100", "100", "140", "200"]);
        assert_eq!(scale.ticks(Unit::Number), [0.01, 0.1, 1.0, 10.0, 100.0, 1_000.0]);
    }

    #[test]
    fn nothing_to_draw_is_no_reason_for_infinities() {
        for values in [&[][..], &[0.0], &[f64::NAN, 0.0]] {
            let scale = scale(values);
            assert_eq!(drawn(scale, [0.0]), ["100"]);
            assert!(scale.ticks(Unit::Number).iter().all(|tick| scale.place(*tick).is_finite()));
        }
    }

    #[test]
    fn bytes_are_marked_where_they_are_round_as_they_are_shown() {
        let scale = Scale::of([7.5 * 1_048_576.0].into_iter(), 0.0, 100.0);
        let ticks = scale.ticks(Unit::Bytes).into_iter();
        let shown: Vec<_> = ticks.map(|tick| abbreviated(tick, Unit::Bytes)).collect();
        assert_eq!(shown, ["0", "2 MiB", "4 MiB", "6 MiB"]);
    }

    #[test]
    fn places_are_marked_themselves() {
        let scale = Scale::through(&[1.0, 8.0, 64.0], 0.0, 100.0);
        assert_eq!(drawn(scale, [1.0, 8.0, 64.0]), ["0", "50", "100"]);
    }

    #[test]
    fn no_scale_has_more_ticks_than_fit() {
        for high in [1.0, 1.1, 3.9, 4.0, 7.3, 9.99, 123.0, 5e-7] {
            for values in [&[high][..], &[high / 1e9, high]] {
                let ticks = scale(values).ticks(Unit::Number);
                assert!((2..=6).contains(&ticks.len()), "{values:?}: {ticks:?}");
            }
        }
    }

    #[test]
    fn round_values_are_short() {
        let cases = [
            (0.0, Unit::Time, "0"),
            (2e-5, Unit::Time, "20 us"),
            (2.5e-3, Unit::Time, "2.5 ms"),
            (1e5, Unit::PerSecond, "100k/s"),
            (1e6, Unit::Number, "1M"),
            (0.5, Unit::Number, "0.5"),
            (100.0, Unit::Percent, "100 %"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(abbreviated(value, unit), expected);
        }
    }
}
