//! Follows a subtree and prints each change with the new value. Needs the feature
//! `tokio`; `XENSTORED_PATH` chooses another store than the host's.

use xenstore_client::Error;
use xenstore_client::asynchronous::{Client, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/".to_owned());
    let mut client = Client::open()?;
    client.watch(&path, "follow").await?;
    loop {
        let event = client.next_event().await?;
        match client.read(&event.path).await {
            Ok(value) => println!("{} = {}", event.path, String::from_utf8_lossy(&value)),
            Err(error) if error.is_missing() => println!("{} is gone", event.path),
            Err(error) => return Err(error),
        }
    }
}
