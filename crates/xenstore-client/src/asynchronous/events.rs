//! Watch events as a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::client::Client;
use crate::error::Result;
use crate::session::Event;

/// The events of a client, endless until an error: see [`Client::events`].
#[derive(Debug)]
pub struct Events<'c> {
    pub(super) client: &'c mut Client,
    pub(super) failed: bool,
}

impl Stream for Events<'_> {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let event = ready!(self.client.poll_event(context));
        self.failed = event.is_err();
        Poll::Ready(Some(event))
    }
}
