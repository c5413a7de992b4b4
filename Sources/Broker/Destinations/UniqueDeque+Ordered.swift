import DequeModule

extension UniqueDeque where Element: Copyable {
    /// A copy of the first element; nil if there is none.
    var first: Element? { isEmpty ? nil : self[0] }

    /// Merges rising elements into a rising deque where they mostly belong near the front.
    ///
    /// O(new elements + elements before the last of them); one element costs a search by halves.
    mutating func mergeFront(_ new: [Element], isBefore: (Element, Element) -> Bool) {
        guard let last = new.last else { return }
        var place = 0
        var high = count
        while place < high {
            let middle = (place + high) / 2
            if isBefore(self[middle], last) { place = middle + 1 } else { high = middle }
        }
        if new.count == 1 {
            insert(last, at: place)
            return
        }
        var merged: [Element] = []
        merged.reserveCapacity(place + new.count)
        var next = new.startIndex
        for _ in 0..<place {
            let old = removeFirst()
            while next < new.endIndex, isBefore(new[next], old) {
                merged.append(new[next])
                next += 1
            }
            merged.append(old)
        }
        merged.append(contentsOf: new[next...])
        prepend(copying: merged)
    }
}

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
