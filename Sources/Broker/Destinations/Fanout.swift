import Base

/// A destination whose messages are stored once and get an entry in each child queue.
///
/// Confinement: broker loop.
final class Fanout {
    let name: String
    let children: [Queue]
    let persistentChildren: [Queue]
    let memoryChildren: [Queue]
    /// The ids of `persistentChildren`, in the form that the store takes.
    let persistentIDs: [QueueID]

    init(name: String, children: [Queue]) {
        self.name = name
        self.children = children
        persistentChildren = children.filter(\.isPersistent)
        memoryChildren = children.filter { !$0.isPersistent }
        persistentIDs = persistentChildren.map(\.id)
    }
}
