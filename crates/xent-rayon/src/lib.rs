//! xent-rayon
