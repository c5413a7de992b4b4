import DequeModule

/// A double-ended queue whose first element stands where the queue itself stands.
///
/// For what mostly holds one element: then it has no memory of its own, which would be one place more
/// to fetch for each of many owners.
struct InlineDeque<Element> {
    private(set) var first: Element?
    private var others = Deque<Element>()

    var isEmpty: Bool { first == nil }
    var count: Int { first == nil ? 0 : others.count + 1 }
    var last: Element? { others.last ?? first }

    @inline(__always)
    mutating func append(_ element: Element) {
        if first == nil { first = element } else { others.append(element) }
    }

    /// Replaces the last element; there must be one.
    @inline(__always)
    mutating func replaceLast(_ element: Element) {
        if others.isEmpty { first = element } else { others[others.count - 1] = element }
    }

    /// Lends the first element to be changed, nil if there is none; it must not be taken away.
    @inline(__always)
    mutating func updateFirst(_ change: (inout Element?) -> Void) { change(&first) }

    /// Takes the first element off; nothing if there is none.
    @inline(__always)
    mutating func removeFirst() { first = others.isEmpty ? nil : others.removeFirst() }

    mutating func removeAll() { self = InlineDeque() }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        others.removeAll(where: isUnwanted)
        if let first, isUnwanted(first) { removeFirst() }
    }
}
