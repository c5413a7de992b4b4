/// Values under numbers that are given out in a row and never again, of which the old ones mostly go.
///
/// Finding a value, and changing it in place, takes three array accesses, where a dictionary hashes the
/// number and, to change a value, allocates. A page goes with its last value, so memory follows the
/// values, but for 16 bytes for each 64 numbers that were given out. A number that a foreign file makes
/// up costs 17 KiB, and half a megabyte once.
struct NumberedTable<Value> {
    private struct Page {
        /// Empty, or with one place for each of its numbers.
        var places: [Value?] = []
        var used = 0
    }

    /// Each as long as its last page needed it to be.
    private var chapters: [[Page]] = []
    private(set) var count = 0

    private static var placesPerPage: Int { 64 }
    private static var pagesPerChapter: Int { 1024 }

    private typealias Place = (chapter: Int, page: Int, index: Int)

    @inline(__always)
    private func place(of number: UInt32) -> Place {
        let page = Int(number) / Self.placesPerPage
        return (
            page / Self.pagesPerChapter, page % Self.pagesPerChapter,
            Int(number) % Self.placesPerPage
        )
    }

    @inline(__always)
    private func holds(_ at: Place) -> Bool {
        at.chapter < chapters.count && at.page < chapters[at.chapter].count
            && !chapters[at.chapter][at.page].places.isEmpty
            && chapters[at.chapter][at.page].places[at.index] != nil
    }

    /// The value under a number; setting nil takes it away.
    subscript(number: UInt32) -> Value? {
        @inline(__always) get {
            let at = place(of: number)
            return holds(at) ? chapters[at.chapter][at.page].places[at.index] : nil
        }
        set {
            let at = place(of: number)
            if let newValue { insert(newValue, at) } else { remove(at) }
        }
    }

    /// Lends the place of a value, if there is one, to be changed; it must not be taken away.
    @inline(__always)
    mutating func update(_ number: UInt32, _ change: (inout Value?) -> Void) {
        let at = place(of: number)
        if holds(at) { change(&chapters[at.chapter][at.page].places[at.index]) }
    }

    private mutating func insert(_ value: Value, _ at: Place) {
        while chapters.count <= at.chapter { chapters.append([]) }
        while chapters[at.chapter].count <= at.page { chapters[at.chapter].append(Page()) }
        if chapters[at.chapter][at.page].places.isEmpty {
            chapters[at.chapter][at.page].places = Array(repeating: nil, count: Self.placesPerPage)
        }
        if !holds(at) {
            chapters[at.chapter][at.page].used += 1
            count += 1
        }
        chapters[at.chapter][at.page].places[at.index] = value
    }

    private mutating func remove(_ at: Place) {
        guard holds(at) else { return }
        count -= 1
        chapters[at.chapter][at.page].used -= 1
        if chapters[at.chapter][at.page].used == 0 {
            chapters[at.chapter][at.page] = Page()
        } else {
            chapters[at.chapter][at.page].places[at.index] = nil
        }
    }

    /// All values, by rising numbers.
    ///
    /// O(values + numbers given out / 64).
    var values: [Value] {
        var values: [Value] = []
        values.reserveCapacity(count)
        forEach { values.append($0) }
        return values
    }

    /// Lends all values, by rising numbers.
    ///
    /// O(values + numbers given out / 64), and nothing is allocated.
    @inline(__always)
    func forEach(_ body: (Value) -> Void) {
        for chapter in chapters {
            for page in chapter { for case let value? in page.places { body(value) } }
        }
    }

    /// The numbers that have values, rising.
    ///
    /// O(values + numbers given out / 64).
    var numbers: [UInt32] {
        var numbers: [UInt32] = []
        numbers.reserveCapacity(count)
        for chapter in chapters.indices {
            for page in chapters[chapter].indices {
                let first = (chapter * Self.pagesPerChapter + page) * Self.placesPerPage
                for (index, value) in chapters[chapter][page].places.enumerated()
                where value != nil {
                    numbers.append(UInt32(first + index))
                }
            }
        }
        return numbers
    }
}

extension NumberedTable: Equatable where Value: Equatable {
    /// The same values under the same numbers.
    static func == (left: Self, right: Self) -> Bool {
        left.count == right.count && left.numbers == right.numbers && left.values == right.values
    }
}
