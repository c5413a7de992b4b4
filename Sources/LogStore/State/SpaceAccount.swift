/// What is known of the free disk: the last measurement, less all that was claimed since it was asked
/// for.
///
/// A measurement is taken some time after the question, so what was claimed in between may be counted
/// twice, and is never left out.
struct SpaceAccount {
    private var claimedBytes = 0
    private var claimedAtQuestion: Int?
    private var known: (freeBytes: Int, claimedBytes: Int)?

    /// Bytes that are free for certain, or nil if nothing is known.
    var freeBytes: Int? {
        known.map { max(0, $0.freeBytes - (claimedBytes - $0.claimedBytes)) }
    }

    /// Notes that the store may take so many bytes of disk from now on.
    mutating func claim(_ bytes: Int) {
        claimedBytes += bytes
    }

    /// Notes a question for the free bytes; false if one is under way.
    mutating func ask() -> Bool {
        guard claimedAtQuestion == nil else { return false }
        claimedAtQuestion = claimedBytes
        return true
    }

    /// Takes in the answer; nil if it could not be measured.
    mutating func answer(_ freeBytes: Int?) {
        known = freeBytes.map { ($0, claimedAtQuestion ?? claimedBytes) }
        claimedAtQuestion = nil
    }

    /// Notes that a write found no space.
    mutating func ranOut() {
        known = (0, claimedBytes)
    }
}
