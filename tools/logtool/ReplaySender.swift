import Base
import Glibc
import LogStore
import StompCodec

/// Sends entries to a broker, each with a receipt, and knows up to which one they have arrived.
///
/// Confinement: one verb.
final class ReplaySender {
    /// An entry by what names it for good.
    struct Place: Equatable {
        let queue: String
        let sequence: UInt64

        var token: String { "\(queue):\(sequence)" }
    }

    private static let receiptWait = Duration.seconds(30)

    private let window: Int
    private let interval: Duration?
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var connection: StompConnection?

    /// Sent, in order; the receipt's id is the place in this run.
    private var unconfirmed: [(id: UInt64, place: Place)] = []
    private var nextID: UInt64 = 1
    private(set) var confirmed = 0
    private(set) var bytes = 0
    private(set) var last: Place?

    init(
        _ address: StompAddress,
        login: String?,
        window: Int,
        rate: Int?
    ) throws {
        self.window = window
        interval = rate.map { .seconds(1) / $0 }
        start = clock.now
        let passcode = getenv("RADIATOR_PASSCODE").map { String(cString: $0) }
        connection = try StompConnection(address, login: login, passcode: passcode) {
            [unowned self] frame in
            if frame.command == .receipt { confirm(frame.integer(.receiptID)) }
            if frame.command == .error { refuse(frame.integer(.receiptID)) }
        }
    }

    /// What was sent and has no receipt: it may have arrived, or not.
    var uncertain: (count: Int, last: Place?) { (unconfirmed.count, unconfirmed.last?.place) }

    var seconds: Double { (clock.now - start) / .seconds(1) }

    /// Receipts come in the order of the frames; one that is missing stays what the others wait for.
    private func confirm(_ id: UInt64?) {
        guard let id, let first = unconfirmed.first, id >= first.id else { return }
        let count = Int(id - first.id) + 1
        guard count <= unconfirmed.count else { return }
        last = unconfirmed[count - 1].place
        confirmed += count
        unconfirmed.removeFirst(count)
    }

    /// A broker takes nothing more from a connection behind a frame that it refuses.
    private func refuse(_ id: UInt64?) {
        guard let id else { return }
        unconfirmed.removeAll { $0.id >= id }
    }

    /// Sends one message; waits for its turn by the rate, and for receipts when the window is full.
    func send(
        _ place: Place,
        to destination: String,
        headers: [UInt8],
        body: RawSpan
    ) throws {
        guard let connection else { return }
        if let interval {
            let due = start + interval * Int(nextID - 1)
            try connection.pump(until: due) { Interruption.isWanted }
        }
        try awaitReceipts { unconfirmed.count < window }
        if Interruption.isWanted { return }
        var frame = Array("SEND\ndestination:".utf8)
        frame += Self.escaped(destination)
        frame += "\nreceipt:\(nextID)\ncontent-length:\(body.byteCount)\n".utf8
        frame += headers
        frame.append(UInt8(ascii: "\n"))
        frame += body.array(0..<body.byteCount)
        frame.append(0)
        // From here on it may arrive.
        unconfirmed.append((nextID, place))
        nextID += 1
        bytes += body.byteCount
        try connection.send(frame)
    }

    /// Waits for the receipts of everything that was sent, also after an interruption.
    func finish() throws {
        try awaitReceipts(evenInterrupted: true) { unconfirmed.isEmpty }
        connection = nil
    }

    private func awaitReceipts(
        evenInterrupted: Bool = false,
        _ isDone: () -> Bool
    ) throws {
        while !isDone(), let connection, evenInterrupted || !Interruption.isWanted {
            let before = unconfirmed.count
            try connection.pump(until: clock.now + Self.receiptWait) {
                unconfirmed.count < before || (!evenInterrupted && Interruption.isWanted)
            }
            if unconfirmed.count == before, evenInterrupted || !Interruption.isWanted {
                throw ToolFailure("no receipt came for \(Self.receiptWait)")
            }
        }
    }

    private static func escaped(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case UInt8(ascii: "\n"): bytes += "\\n".utf8
            case UInt8(ascii: "\r"): bytes += "\\r".utf8
            case UInt8(ascii: ":"): bytes += "\\c".utf8
            default: bytes.append(byte)
            }
        }
        return bytes
    }
}
