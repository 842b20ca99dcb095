//! The classes of a register of rows, in registers or in memory.

use crate::simd::Vector;

/// The logits of a register of rows and the places of their exponentials and gradients, by class.
pub(crate) trait Plane<V: Vector> {
    /// The number of classes, if the compiler knows it; zero otherwise.
    const CLASSES: usize;

    fn classes(&self) -> usize;

    fn logits(&self, token: V::Token, class: usize) -> V;

    /// Stores the exponential of a class for the gradient, if there is a place for it.
    fn store_exp(&mut self, class: usize, value: V);

    /// Whether exponentials are stored, overwriting the logits if there is no other place.
    fn stores_exps(&self) -> bool;

    /// The stored exponential.
    fn stored_exp(&self, token: V::Token, class: usize) -> V;

    /// Writes the gradient of a class.
    fn put(&mut self, token: V::Token, class: usize, value: V);

    /// Whether the gradient is added to the values there.
    fn adds(&self) -> bool;
}

/// The targets of a register of rows, by class.
pub(crate) trait SoftPlane<V: Vector> {
    /// The weight of a class.
    fn weight(&self, token: V::Token, class: usize) -> V;

    /// Whether the weights come from a teacher's logits.
    fn has_teacher(&self) -> bool;

    /// The distance of a teacher's logits of a class below the largest.
    fn teacher_distance(&self, token: V::Token, class: usize) -> V;
}

/// The place for the second derivatives of a register of rows.
pub(crate) trait SecondPlane<V: Vector> {
    fn put(&mut self, class: usize, value: V);
}

/// A register of rows in which each class has its own register: all classes, or the first `CLASSES`
/// of them.
pub(crate) struct Registers<'a, V, const CLASSES: usize> {
    pub(crate) classes: &'a mut [V],
    pub(crate) adds: bool,
}

impl<V: Vector, const CLASSES: usize> Plane<V> for Registers<'_, V, CLASSES> {
    const CLASSES: usize = CLASSES;

    #[inline(always)]
    fn classes(&self) -> usize {
        if CLASSES == 0 { self.classes.len() } else { CLASSES }
    }

    #[inline(always)]
    fn logits(&self, _: V::Token, class: usize) -> V {
        self.classes[class]
    }

    #[inline(always)]
    fn store_exp(&mut self, class: usize, value: V) {
        self.classes[class] = value;
    }

    #[inline(always)]
    fn stores_exps(&self) -> bool {
        true
    }

    #[inline(always)]
    fn stored_exp(&self, _: V::Token, class: usize) -> V {
        self.classes[class]
    }

    #[inline(always)]
    fn put(&mut self, _: V::Token, class: usize, value: V) {
        self.classes[class] = value;
    }

    #[inline(always)]
    fn adds(&self) -> bool {
        self.adds
    }
}
