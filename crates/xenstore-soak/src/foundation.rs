//! What is there before the first guest comes.

use xenstore_model::operation::Action;
use xenstore_model::request::{Asked, Request};

use crate::judge::Judge;
use crate::libxl::SHARED;

/// Tells a model of it.
pub fn teach(judge: &mut Judge) {
    let client = judge.connect();
    for request in requests() {
        judge.teach(&Asked { client, transaction: 0, request, protected: false });
    }
}

/// The node that is made last.
pub const LAST: &str = "/local/pool/0/name";

/// What the herald asks: it is the first client of all, and of every model.
pub fn requests() -> Vec<Request> {
    let mut requests: Vec<_> =
        SHARED.map(|path| Request::Node(path.to_owned(), Action::Mkdir)).into();
    for (path, value) in [("/local/domain/0/name", "Domain-0"), ("/tool/secret", "s3")] {
        requests.push(Request::Node(path.to_owned(), Action::Write(value.to_owned())));
    }
    for name in ["@introduceDomain", "@releaseDomain"] {
        requests.push(Request::Watch(name.to_owned(), "herald".to_owned(), None));
    }
    let last = Action::Write("Pool-0".to_owned());
    requests.push(Request::Node(LAST.to_owned(), last));
    requests
}
