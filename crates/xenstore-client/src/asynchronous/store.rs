//! Reading and writing nodes, inside a transaction or not.

use xenstore_wire::permission::Permissions;

use crate::call::Call;
use crate::directory::PartialList;
use crate::error::Result;

/// What can be done with nodes: see the blocking [`Store`](crate::Store), whose
/// methods these are.
#[expect(
    async_fn_in_trait,
    reason = "the implementors' futures are Send; generic callers are rare"
)]
pub trait Store {
    /// Performs a request and waits for its reply.
    async fn call<T>(&mut self, call: Call<T>) -> Result<T>;

    /// A node's value.
    async fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        self.call(Call::read(path)?).await
    }

    /// Sets a node's value, creating it.
    async fn write(&mut self, path: &str, value: impl AsRef<[u8]>) -> Result<()> {
        let call = Call::write(path, value.as_ref())?;
        drop(value);
        self.call(call).await
    }

    /// Creates a node.
    async fn mkdir(&mut self, path: &str) -> Result<()> {
        self.call(Call::mkdir(path)?).await
    }

    /// Removes a node and all below it.
    async fn remove(&mut self, path: &str) -> Result<()> {
        self.call(Call::remove(path)?).await
    }

    /// The names of a node's children, however many they are.
    async fn directory(&mut self, path: &str) -> Result<Vec<String>> {
        let refusal = match self.call(Call::directory(path)?).await {
            Ok(names) => return Ok(names),
            Err(refusal) => refusal,
        };
        let mut list = PartialList::after(refusal, path)?;
        loop {
            let answer = self.call(list.ask()?).await;
            if let Some(names) = list.take(answer)? {
                return Ok(names);
            }
        }
    }

    /// A permission list.
    async fn permissions(&mut self, path: &str) -> Result<Permissions> {
        self.call(Call::permissions(path)?).await
    }

    /// Replaces a permission list.
    async fn set_permissions(&mut self, path: &str, permissions: &Permissions) -> Result<()> {
        self.call(Call::set_permissions(path, permissions)?).await
    }

    /// Whether there is a node. One that may not be read is an error, not an answer.
    async fn exists(&mut self, path: &str) -> Result<bool> {
        match self.read(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
