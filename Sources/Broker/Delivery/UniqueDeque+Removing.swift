import DequeModule

extension UniqueDeque {
    /// Takes off every element that is unwanted; the others keep their order, and the deque its memory.
    ///
    /// O(elements): each is moved once.
    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        for _ in indices {
            let element = removeFirst()
            if !isUnwanted(element) { append(element) }
        }
    }
}
