//! The reader of WebSockets as a function of bytes: see [`crate::fuzzing`].

use super::websocket::{Came, Reader};
use cloister_core::browser::Budget;
use futures_util::FutureExt as _;

/// Bytes of a client, in two pieces: what is held never passes the budget, and nothing is held at the end.
pub fn websocket(data: &[u8]) {
    const MOST: usize = 64 << 10;
    let budget = Budget::new(MOST);
    {
        let cut = data.first().map_or(0, |first| usize::from(*first).min(data.len()));
        let (first, second) = data.split_at(cut);
        let both = tokio::io::AsyncReadExt::chain(first, second);
        let mut reader = Reader::new(both, &budget);
        // Slices never keep anybody waiting.
        while let Some(Ok(came)) = reader.next().now_or_never() {
            assert!(budget.used() <= MOST, "more is held than there is");
            if let Came::Text(message) = came {
                assert!(message.text.len() <= data.len(), "a message is longer than what came");
            }
        }
        reader.until_closed().now_or_never();
    }
    assert_eq!(budget.used(), 0, "what was held is given back");
}
