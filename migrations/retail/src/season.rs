//! How demand moves over the year.

/// Demand in each month, January first; 1 is an average month.
pub(crate) type Months = [f64; 12];

/// Demand on each weekday, Monday first; 1 is an average day.
pub(crate) type Weekdays = [f64; 7];

/// How the demand for a product type moves over the year, on top of its category's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Season {
    Flat,
    Spring,
    Summer,
    Autumn,
    Winter,
    /// Wanted when a windstorm comes: lanterns, generators, pumps.
    Storm,
    /// Father's Day and December.
    Gifts,
    /// When resolutions are made, and when school begins.
    NewYear,
}

impl Season {
    /// The season that the catalogue calls `name`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "flat" => Self::Flat,
            "spring" => Self::Spring,
            "summer" => Self::Summer,
            "autumn" => Self::Autumn,
            "winter" => Self::Winter,
            "storm" => Self::Storm,
            "gifts" => Self::Gifts,
            "newyear" => Self::NewYear,
            _ => return None,
        })
    }

    pub(crate) fn months(self) -> Months {
        match self {
            Self::Flat => [1.0; 12],
            Self::Spring => [0.70, 0.80, 1.20, 1.50, 1.50, 1.25, 1.00, 0.90, 0.85, 0.80, 0.75, 0.75],
            Self::Summer => [0.45, 0.55, 0.90, 1.25, 1.50, 1.65, 1.60, 1.40, 1.05, 0.75, 0.50, 0.40],
            Self::Autumn => [1.00, 0.90, 0.80, 0.75, 0.75, 0.75, 0.80, 0.95, 1.30, 1.50, 1.40, 1.10],
            Self::Winter => [1.70, 1.40, 1.00, 0.70, 0.55, 0.45, 0.45, 0.55, 0.80, 1.15, 1.50, 1.75],
            Self::Storm => [1.40, 1.15, 0.95, 0.80, 0.70, 0.65, 0.65, 0.75, 0.95, 1.20, 1.50, 1.30],
            Self::Gifts => [0.75, 0.75, 0.85, 0.95, 1.05, 1.30, 0.90, 0.85, 0.85, 0.90, 1.30, 1.65],
            Self::NewYear => [1.90, 1.30, 1.00, 0.85, 0.80, 0.80, 0.80, 1.10, 1.00, 0.80, 0.75, 0.90],
        }
    }
}
