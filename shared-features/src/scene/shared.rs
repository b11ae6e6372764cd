//! What the features of one request have in common, computed once.

use std::cell::RefCell;
use std::rc::Rc;

/// Values by key, each made for the first feature that asks for it; keys are few.
pub(super) struct Shared<K, V>(RefCell<Vec<(K, Rc<V>)>>);

impl<K: Clone + PartialEq, V> Shared<K, V> {
    /// The value of a key.
    pub(super) fn get(&self, key: &K, make: impl FnOnce() -> V) -> Rc<V> {
        if let Some((_, value)) = self.0.borrow().iter().find(|(known, _)| known == key) {
            return Rc::clone(value);
        }
        let value = Rc::new(make());
        self.0.borrow_mut().push((key.clone(), Rc::clone(&value)));
        value
    }
}

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Shared(RefCell::default())
    }
}
