//! Reading and writing nodes, inside a transaction or not.

use xenstore_wire::permission::Permissions;

use crate::call::Call;
use crate::directory::PartialList;
use crate::error::Result;

/// What can be done with nodes: implemented by [`Client`](crate::Client), where each
/// request stands for itself, and by [`Transaction`](crate::Transaction), where they
/// see one state of the store and take effect together.
///
/// Each method costs one round trip to the daemon unless it says otherwise.
pub trait Store {
    /// Performs a request and waits for its reply.
    fn call<T>(&mut self, call: Call<T>) -> Result<T>;

    /// A node's value: at most 4096 bytes, any of them, possibly none.
    fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        self.call(Call::read(path)?)
    }

    /// Sets a node's value. Creates it, and its missing ancestors with empty values,
    /// if need be. Path and value together have to stay below 4096 bytes.
    fn write(&mut self, path: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.call(Call::write(path, value.as_ref())?)
    }

    /// Creates a node with an empty value, and its missing ancestors. A node that
    /// exists stays as it is.
    fn mkdir(&mut self, path: &str) -> Result<()> {
        self.call(Call::mkdir(path)?)
    }

    /// Removes a node and all below it. A missing node is no error as long as its
    /// parent exists.
    fn remove(&mut self, path: &str) -> Result<()> {
        self.call(Call::remove(path)?)
    }

    /// The names of a node's children, in the daemon's order, however many they are.
    ///
    /// A list of more than 4096 bytes takes a further round trip per 4 KiB. From a
    /// daemon that cannot hand out parts it is refused with
    /// [`Errno::TooBig`](crate::wire::Errno::TooBig).
    fn directory(&mut self, path: &str) -> Result<Vec<String>> {
        let refusal = match self.call(Call::directory(path)?) {
            Ok(names) => return Ok(names),
            Err(refusal) => refusal,
        };
        let mut list = PartialList::after(refusal, path)?;
        loop {
            let answer = self.call(list.ask()?);
            if let Some(names) = list.take(answer)? {
                return Ok(names);
            }
        }
    }

    /// The permission list of a node or a special name.
    fn permissions(&mut self, path: &str) -> Result<Permissions> {
        self.call(Call::permissions(path)?)
    }

    /// Replaces the permission list of a node or a special name.
    fn set_permissions(&mut self, path: &str, permissions: &Permissions) -> Result<()> {
        self.call(Call::set_permissions(path, permissions)?)
    }

    /// Whether there is a node. One that may not be read is an error, not an answer.
    fn exists(&mut self, path: &str) -> Result<bool> {
        match self.read(path) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
