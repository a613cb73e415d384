//! A store in a thread: just enough of a daemon for the tools to be run against.
//!
//! No conflicts, no quotas, no events but the first of a watch; domain 0 is the only
//! domain there is. What real daemons do is tested elsewhere, against real daemons.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::thread;

use xenstore_client::wire::message::encode;
use xenstore_client::wire::text::{split_string, strings};
use xenstore_client::wire::{Decoder, Domid, Errno, MessageType, Name, PAYLOAD_MAX, Path};

#[derive(Clone)]
struct Node {
    value: Vec<u8>,
    permissions: Vec<u8>,
    children: Vec<Vec<u8>>,
}

type Tree = BTreeMap<Path<'static>, Node>;
type Answer = Result<Vec<u8>, Errno>;

/// Serves a new store at a socket until the process ends.
pub fn serve(socket: &FilePath) {
    let listener = UnixListener::bind(socket).unwrap();
    let root = Node { value: Vec::new(), permissions: b"n0\0".to_vec(), children: Vec::new() };
    let tree = Arc::new(Mutex::new(Tree::from([(Path::root(), root)])));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let tree = Arc::clone(&tree);
            let connection = Connection {
                tree,
                transactions: BTreeMap::new(),
                last_transaction: 0,
                watches: Vec::new(),
            };
            let stream = stream.unwrap();
            thread::spawn(move || connection.run(stream));
        }
    });
}

struct Connection {
    tree: Arc<Mutex<Tree>>,
    /// Open transactions: each a whole copy.
    transactions: BTreeMap<u32, Tree>,
    last_transaction: u32,
    watches: Vec<Vec<u8>>,
}

impl Connection {
    fn run(mut self, mut stream: UnixStream) {
        let (mut decoder, mut buffer) = (Decoder::new(), [0; 4096]);
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            decoder.push(&buffer[..length]);
            while let Some(message) = decoder.next_message().unwrap() {
                let (header, mut out) = (message.header, Vec::new());
                let kind = MessageType::from_number(header.kind).unwrap();
                let answer = self.answer(kind, header.transaction_id, message.payload);
                let watched = kind == MessageType::Watch && answer.is_ok();
                let (id, tx) = (header.request_id, header.transaction_id);
                assert!(match answer {
                    Ok(payload) => encode(&mut out, kind, id, tx, &[&payload]),
                    Err(errno) => {
                        let name = errno.name().as_bytes();
                        encode(&mut out, MessageType::Error, id, tx, &[name, &[0]])
                    }
                });
                if watched {
                    let event = MessageType::WatchEvent;
                    assert!(encode(&mut out, event, 0, 0, &[message.payload]));
                }
                if stream.write_all(&out).is_err() {
                    // Whoever asked did not wait for the answer.
                    return;
                }
            }
        }
    }

    fn answer(&mut self, kind: MessageType, transaction: u32, payload: &[u8]) -> Answer {
        use MessageType as T;
        match kind {
            T::TransactionStart => {
                self.last_transaction += 1;
                let copy = self.tree.lock().unwrap().clone();
                self.transactions.insert(self.last_transaction, copy);
                Ok(format!("{}\0", self.last_transaction).into_bytes())
            }
            T::TransactionEnd => {
                let tree = self.transactions.remove(&transaction).ok_or(Errno::NoEnt)?;
                if payload == b"T\0" {
                    *self.tree.lock().unwrap() = tree;
                }
                done()
            }
            T::Watch => {
                let (path, _) = split_string(payload).ok_or(Errno::Inval)?;
                Name::parse(path, Domid::DOM0).map_err(|_| Errno::Inval)?;
                if self.watches.iter().any(|watch| watch == payload) {
                    return Err(Errno::Exist);
                }
                self.watches.push(payload.to_vec());
                done()
            }
            T::Control => match payload {
                b"check\0" => done(),
                b"help\0" => Ok(b"check\t\nhelp\t\n\0".to_vec()),
                _ => Err(Errno::Inval),
            },
            _ if transaction == 0 => on_node(&mut self.tree.lock().unwrap(), kind, payload),
            _ => {
                let tree = self.transactions.get_mut(&transaction);
                on_node(tree.ok_or(Errno::NoEnt)?, kind, payload)
            }
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "an answer like the others")]
fn done() -> Answer {
    Ok(b"OK\0".to_vec())
}

fn on_node(tree: &mut Tree, kind: MessageType, payload: &[u8]) -> Answer {
    use MessageType as T;
    let (spelling, rest) = split_string(payload).ok_or(Errno::Inval)?;
    let path = Path::parse(spelling, Domid::DOM0).map_err(|_| Errno::Inval)?.into_owned();
    match kind {
        T::Read => Ok(tree.get(&path).ok_or(Errno::NoEnt)?.value.clone()),
        T::GetPerms => Ok(tree.get(&path).ok_or(Errno::NoEnt)?.permissions.clone()),
        T::Directory => {
            let names = names(tree, &path)?;
            (names.len() <= PAYLOAD_MAX).then_some(names).ok_or(Errno::TooBig)
        }
        T::DirectoryPart => part(&names(tree, &path)?, rest),
        T::Write => {
            create(tree, &path);
            tree.get_mut(&path).unwrap().value = rest.to_vec();
            done()
        }
        T::Mkdir => {
            create(tree, &path);
            done()
        }
        T::Rm => remove(tree, &path),
        T::SetPerms => {
            let owner = strings(rest).next().ok_or(Errno::Inval)?;
            if owner.get(1..) != Some(b"0") {
                return Err(Errno::NoEnt);
            }
            tree.get_mut(&path).ok_or(Errno::NoEnt)?.permissions = rest.to_vec();
            done()
        }
        _ => Err(Errno::NoSys),
    }
}

fn names(tree: &Tree, path: &Path<'static>) -> Answer {
    let node = tree.get(path).ok_or(Errno::NoEnt)?;
    Ok(node.children.iter().flat_map(|name| [name, &b"\0"[..]].concat()).collect())
}

fn part(names: &[u8], offset: &[u8]) -> Answer {
    let offset = strings(offset).next().ok_or(Errno::Inval)?;
    let offset: usize = std::str::from_utf8(offset).unwrap().parse().unwrap();
    let rest = names.get(offset..).unwrap_or_default();
    let mut answer = b"1\0".to_vec();
    let fits = rest.split_inclusive(|&byte| byte == 0).scan(4000, |room: &mut usize, name| {
        *room = room.checked_sub(name.len())?;
        Some(name)
    });
    let taken: Vec<u8> = fits.flatten().copied().collect();
    answer.extend_from_slice(&taken);
    if taken.len() == rest.len() {
        answer.push(0);
    }
    Ok(answer)
}

fn create(tree: &mut Tree, path: &Path<'static>) {
    if tree.contains_key(path) {
        return;
    }
    let (parent, name) = path.split_last().unwrap();
    let parent = parent.into_owned();
    create(tree, &parent);
    let parent = tree.get_mut(&parent).unwrap();
    parent.children.push(name.to_owned());
    let permissions = parent.permissions.clone();
    let node = Node { value: Vec::new(), permissions, children: Vec::new() };
    tree.insert(path.clone(), node);
}

fn remove(tree: &mut Tree, path: &Path<'static>) -> Answer {
    let (parent, name) = path.split_last().ok_or(Errno::Inval)?;
    let parent = tree.get_mut(&parent.into_owned()).ok_or(Errno::NoEnt)?;
    parent.children.retain(|child| child != name);
    tree.retain(|other, _| other.depth_below(path).is_none());
    done()
}
