//! A few things that are dear to make and that several threads ask for at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many as `most` says of the last asked for. Each is made once: who asks for it meanwhile waits. What could not be made is tried again by
/// the next who asks.
///
/// Making must not wait for others of this list, nor hand work to rayon: a thread that waits there may be given a piece of
/// work that waits for this one.
pub(super) struct Kept<K, V> {
    most: fn() -> usize,
    /// The last asked for first.
    slots: Mutex<Vec<(K, Slot<V>)>>,
}

type Slot<V> = Arc<Mutex<Option<V>>>;

impl<K: PartialEq, V: Clone> Kept<K, V> {
    /// Keeps nothing yet.
    pub(super) const fn new(most: fn() -> usize) -> Self {
        Self {
            most,
            slots: Mutex::new(Vec::new()),
        }
    }

    /// What is kept under the key, or what `make` makes of it.
    pub(super) fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let slot = self.slot(key);
        let mut kept = locked(&slot);
        if let Some(value) = &*kept {
            return Ok(value.clone());
        }
        let made = make()?;
        *kept = Some(made.clone());
        Ok(made)
    }

    fn slot(&self, key: K) -> Slot<V> {
        let mut slots = locked(&self.slots);
        let found = slots.iter().position(|(known, _)| *known == key);
        let slot = match found {
            Some(at) => slots.remove(at),
            None => (key, Slot::default()),
        };
        slots.truncate((self.most)() - 1);
        let asked = Arc::clone(&slot.1);
        slots.insert(0, slot);
        asked
    }
}

/// A panic in a decoder leaves a slot empty and nothing else behind.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn many_threads_make_a_thing_once() {
        let (kept, made) = (Kept::new(|| 2), AtomicUsize::new(0));
        let ask = |key: usize| {
            kept.get(key, || {
                thread::sleep(std::time::Duration::from_millis(20));
                made.fetch_add(1, Ordering::Relaxed);
                Ok::<_, ()>(key * 10)
            })
        };
        thread::scope(|scope| {
            for thread in 0..16 {
                scope.spawn(move || assert_eq!(ask(thread % 2), Ok(thread % 2 * 10)));
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn no_more_is_kept_than_was_said_and_the_last_asked_for_stays() {
        let kept = Kept::<_, Arc<usize>>::new(|| 2);
        let make = |key: usize| kept.get(key, || Ok::<_, ()>(Arc::new(key))).unwrap();
        let values: Vec<Arc<usize>> = [1, 2, 1, 3].map(make).into();
        assert!(Arc::ptr_eq(&values[0], &values[2]));
        // One here and one in the list; 2 was dropped when 3 came.
        let owners: Vec<usize> = values.iter().map(Arc::strong_count).collect();
        assert_eq!(owners, [3, 1, 3, 2]);
    }

    #[test]
    fn what_failed_or_panicked_is_tried_again() {
        let kept = Kept::new(|| 1);
        assert_eq!(kept.get("a", || Err("no")), Err("no"));
        let panicked = thread::scope(|scope| {
            scope
                .spawn(|| kept.get("a", || -> Result<i32, &str> { panic!() }))
                .join()
        });
        assert!(panicked.is_err());
        assert_eq!(kept.get("a", || Ok::<_, &str>(1)), Ok(1));
        assert_eq!(kept.get("a", || Err("made before")), Ok(1));
    }
}
