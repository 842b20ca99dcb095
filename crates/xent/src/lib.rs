//! xent
