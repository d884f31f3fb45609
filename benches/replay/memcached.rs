//! memcached 1.6.45 on paper: slab classes, a segmented LRU in each, and the crawler.
//!
//! An item takes a chunk of the smallest class that holds it. Classes take pages of 1 MiB until the
//! limit is reached; from then on a class without a free chunk evicts at the tail of its own COLD
//! list. New items enter HOT. The maintainer passes them on to COLD, or to WARM if they were read
//! twice; an item in COLD that is read for a second time moves to WARM. Every six seconds at the
//! least the crawler frees what has expired in a class, unless its last walk has seen that
//! nothing will expire for minutes.
//!
//! Left out: pages that move between classes (`slab_automove`), values above 512 KiB in several
//! chunks, the TEMP list (off by default), and delays of the maintainer's and the crawler's threads:
//! both act at once here. The map is beside the limit, as in the other models; in memcached, too.

use std::collections::HashMap;

use super::model::{Model, Size, Work};

/// `sizeof(item)` and the cas id.
const HEADER_BYTES: u64 = 48 + 8;
/// A zero after the key, a line end after the value.
const TERMINATOR_BYTES: u64 = 1 + 2;
const PAGE_BYTES: u64 = 1 << 20;
/// The smallest chunk, and the growth factor of the others.
const CHUNK_BYTES_MIN: u64 = 96;
const CHUNK_BYTES_MAX: u64 = PAGE_BYTES / 2;
const CHUNK_FACTOR: f64 = 1.25;
const CHUNK_ALIGNMENT_BYTES: u64 = 8;

const HOT: usize = 0;
const WARM: usize = 1;
const COLD: usize = 2;
/// The shares of a class's bytes above which HOT and WARM pass on, and the age in parts of COLD's.
const HOT_PERCENT: u64 = 20;
const WARM_PERCENT: u64 = 40;
/// Items that one pull looks at, as long as they have expired.
const PULL_TRIES: u32 = 5;
/// Seconds between walks, and the longest that a walk is put off.
const CRAWL_PAUSE_S: u32 = 5;
const CRAWL_WAIT_MAX_S: u32 = 3600;

/// The end of a list.
const NONE: usize = usize::MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct Memcached {
    pages_max: u64,
    pages: u64,
    classes: Vec<Class>,
    items: HashMap<u64, usize>,
    nodes: Vec<Node>,
    /// Nodes that hold nothing.
    free_nodes: Vec<usize>,
    work: Work,
}

#[derive(Debug)]
struct Class {
    chunk_bytes: u64,
    pages: u64,
    /// Chunks that hold nothing.
    free: u64,
    lists: [List; 3],
    /// When the crawler runs again, and by how long the last walk has put that off.
    crawl_at_s: u32,
    crawl_wait_s: u32,
}

#[derive(Debug)]
struct List {
    newest: usize,
    oldest: usize,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    key: u64,
    bytes: u64,
    class: usize,
    list: usize,
    expires_at_s: Option<u32>,
    accessed_s: u32,
    fetched: bool,
    active: bool,
    newer: usize,
    older: usize,
}

impl Memcached {
    pub(crate) fn new(memory_bytes_max: u64) -> Self {
        let list = || List { newest: NONE, oldest: NONE, bytes: 0 };
        let class = |chunk_bytes| Class {
            chunk_bytes,
            pages: 0,
            free: 0,
            lists: [list(), list(), list()],
            crawl_at_s: 0,
            crawl_wait_s: 0,
        };
        Self {
            pages_max: memory_bytes_max / PAGE_BYTES,
            pages: 0,
            classes: chunk_sizes().into_iter().map(class).collect(),
            items: HashMap::new(),
            nodes: Vec::new(),
            free_nodes: Vec::new(),
            work: Work::default(),
        }
    }

    /// Takes a chunk of a class: a free one, one of a new page, or that of the oldest item in COLD.
    fn allocate(&mut self, class: usize, now_s: u32) -> bool {
        // As often does memcached try.
        for _ in 0..10 {
            let slabs = &mut self.classes[class];
            if slabs.free == 0 && (self.pages < self.pages_max || slabs.pages == 0) {
                slabs.free += PAGE_BYTES / slabs.chunk_bytes;
                slabs.pages += 1;
                self.pages += 1;
            }
            if slabs.free > 0 {
                slabs.free -= 1;
                return true;
            }
            if self.pull(class, COLD, true, now_s) == 0 {
                // Without a limit: whatever is at HOT's tail goes to COLD.
                self.pull_hot_or_warm(class, HOT, 0, u32::MAX, now_s);
            }
        }
        false
    }

    /// Looks at COLD's tail. Returns how many items were freed or moved.
    fn pull(&mut self, class: usize, list: usize, evict: bool, now_s: u32) -> u32 {
        let mut done = 0;
        for _ in 0..PULL_TRIES {
            let node = self.classes[class].lists[list].oldest;
            if node == NONE {
                break;
            }
            if self.nodes[node].has_expired(now_s) {
                self.remove(node);
                done += 1;
                continue;
            }
            if evict {
                self.remove(node);
                done += 1;
            } else if self.nodes[node].active {
                self.nodes[node].active = false;
                self.relink(node, WARM);
                done += 1;
            }
            break;
        }
        done
    }

    /// Passes items at the tail of HOT or WARM on, if they were read, or the list is too long or old.
    fn pull_hot_or_warm(
        &mut self,
        class: usize,
        list: usize,
        bytes_max: u64,
        age_max_s: u32,
        now_s: u32,
    ) -> u32 {
        let mut done = 0;
        for _ in 0..PULL_TRIES {
            let node = self.classes[class].lists[list].oldest;
            let Some(item) = self.nodes.get_mut(node) else { break };
            if item.has_expired(now_s) {
                self.remove(node);
                done += 1;
                continue;
            }
            if item.active {
                item.active = false;
                self.relink(node, WARM);
                done += 1;
                if list == WARM {
                    continue;
                }
            } else if self.classes[class].lists[list].bytes > bytes_max
                || now_s - item.accessed_s > age_max_s
            {
                self.relink(node, COLD);
                done += 1;
            }
            break;
        }
        done
    }

    /// What the maintainer's thread does for one class.
    fn juggle(&mut self, class: usize, now_s: u32) {
        let lists = &self.classes[class].lists;
        let bytes: u64 = lists.iter().map(|list| list.bytes).sum();
        let coldest = self.nodes.get(lists[COLD].oldest);
        let cold_age_s = coldest.map_or(0, |item| now_s - item.accessed_s);
        let (hot_age_s, warm_age_s) = (cold_age_s / 5, cold_age_s * 2);
        let (hot_bytes, warm_bytes) = (bytes * HOT_PERCENT / 100, bytes * WARM_PERCENT / 100);
        for _ in 0..500 {
            let mut done = self.pull_hot_or_warm(class, HOT, hot_bytes, hot_age_s, now_s);
            if done == 0 {
                done = self.pull_hot_or_warm(class, WARM, warm_bytes, warm_age_s, now_s);
            }
            done += self.pull(class, COLD, false, now_s);
            if done == 0 {
                break;
            }
        }
    }

    /// Frees what has expired in the classes whose time has come.
    fn crawl(&mut self, now_s: u32) {
        for class in 0..self.classes.len() {
            if now_s > self.classes[class].crawl_at_s {
                self.crawl_class(class, now_s);
            }
        }
    }

    fn crawl_class(&mut self, class: usize, now_s: u32) {
        // Live items with a time, and of these the ones that expire within so many minutes.
        let mut with_time = 0;
        let mut by_minute = [0_u64; 60];
        for list in [HOT, WARM, COLD] {
            let mut next = self.classes[class].lists[list].oldest;
            while let Some(&item) = self.nodes.get(next) {
                if item.has_expired(now_s) {
                    self.remove(next);
                } else if let Some(at_s) = item.expires_at_s {
                    with_time += 1;
                    if let Some(count) = by_minute.get_mut(((at_s - now_s) / 60) as usize) {
                        *count += 1;
                    }
                }
                next = item.newer;
            }
        }
        // As in lru_maintainer_crawler_check(): a hundredth of them has to be worth a walk.
        let mut sum = 0;
        let worth = (0..).zip(by_minute).find(|&(_, count)| {
            sum += count;
            sum > with_time / 100 + 1
        });
        let class = &mut self.classes[class];
        match worth {
            Some((minute, _)) if class.crawl_wait_s < minute * 60 => class.crawl_wait_s += 60,
            Some(_) => class.crawl_wait_s = class.crawl_wait_s.saturating_sub(60),
            None if sum == 0 => class.crawl_wait_s += 60,
            None => {}
        }
        class.crawl_wait_s = class.crawl_wait_s.min(CRAWL_WAIT_MAX_S);
        class.crawl_at_s = now_s + class.crawl_wait_s + CRAWL_PAUSE_S;
    }

    fn unlink(&mut self, node: usize) {
        let Node { newer, older, class, list, bytes, .. } = self.nodes[node];
        match self.nodes.get_mut(newer) {
            Some(other) => other.older = older,
            None => self.classes[class].lists[list].newest = older,
        }
        match self.nodes.get_mut(older) {
            Some(other) => other.newer = newer,
            None => self.classes[class].lists[list].oldest = newer,
        }
        self.classes[class].lists[list].bytes -= bytes;
    }

    fn link(&mut self, node: usize) {
        let Node { class, list, bytes, .. } = self.nodes[node];
        let list = &mut self.classes[class].lists[list];
        (self.nodes[node].newer, self.nodes[node].older) = (NONE, list.newest);
        match self.nodes.get_mut(list.newest) {
            Some(other) => other.newer = node,
            None => list.oldest = node,
        }
        list.newest = node;
        list.bytes += bytes;
    }

    fn relink(&mut self, node: usize, list: usize) {
        self.unlink(node);
        self.nodes[node].list = list;
        self.link(node);
    }

    fn remove(&mut self, node: usize) {
        self.unlink(node);
        self.classes[self.nodes[node].class].free += 1;
        self.items.remove(&self.nodes[node].key);
        self.free_nodes.push(node);
    }
}

impl Node {
    fn has_expired(&self, now_s: u32) -> bool {
        self.expires_at_s.is_some_and(|at_s| at_s <= now_s)
    }
}

/// The chunk sizes that memcached starts with.
fn chunk_sizes() -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut bytes = CHUNK_BYTES_MIN;
    while (bytes as f64) < CHUNK_BYTES_MAX as f64 / CHUNK_FACTOR {
        bytes = bytes.next_multiple_of(CHUNK_ALIGNMENT_BYTES);
        sizes.push(bytes);
        bytes = scaled(bytes);
    }
    sizes.push(CHUNK_BYTES_MAX);
    sizes
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below half a page")]
fn scaled(bytes: u64) -> u64 {
    (bytes as f64 * CHUNK_FACTOR) as u64
}

impl Model for Memcached {
    fn get(&mut self, key: u64, now_s: u32) -> bool {
        let Some(&node) = self.items.get(&key) else { return false };
        let item = &mut self.nodes[node];
        if item.has_expired(now_s) {
            self.remove(node);
            return false;
        }
        if !item.fetched {
            item.fetched = true;
        } else if !item.active {
            item.accessed_s = now_s;
            if item.list == COLD {
                self.relink(node, WARM);
            } else {
                item.active = true;
            }
        }
        true
    }

    fn set(&mut self, key: u64, size: Size, expires_at_s: Option<u32>, now_s: u32) -> bool {
        self.crawl(now_s);
        let bytes = HEADER_BYTES
            + TERMINATOR_BYTES
            + u64::from(size.key_bytes)
            + u64::from(size.value_bytes);
        self.work.stored_bytes += bytes;
        let class = self.classes.partition_point(|class| class.chunk_bytes < bytes);
        if class == self.classes.len() || !self.allocate(class, now_s) {
            if let Some(&old) = self.items.get(&key) {
                self.remove(old);
            }
            return false;
        }
        if let Some(&old) = self.items.get(&key) {
            self.remove(old);
        }
        let item = Node {
            key,
            bytes,
            class,
            list: HOT,
            expires_at_s,
            accessed_s: now_s,
            fetched: false,
            active: false,
            newer: NONE,
            older: NONE,
        };
        let node = match self.free_nodes.pop() {
            Some(node) => {
                self.nodes[node] = item;
                node
            }
            None => {
                self.nodes.push(item);
                self.nodes.len() - 1
            }
        };
        self.items.insert(key, node);
        self.link(node);
        self.juggle(class, now_s);
        true
    }

    fn bytes(&self) -> u64 {
        self.pages * PAGE_BYTES
    }

    fn work(&self) -> Work {
        self.work
    }
}
