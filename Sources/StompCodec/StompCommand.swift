/// The first line of a frame.
///
/// Commands are case sensitive.
package enum StompCommand: UInt8, Sendable, CaseIterable {
    case connect, stomp, send, subscribe, unsubscribe, ack, nack, begin, commit, abort, disconnect
    case connected, message, receipt, error

    /// The longest command has 11 bytes; a first line longer than this is none.
    static let byteCountMax = 16

    /// The word on the wire.
    package var word: StaticString {
        switch self {
        case .connect: "CONNECT"
        case .stomp: "STOMP"
        case .send: "SEND"
        case .subscribe: "SUBSCRIBE"
        case .unsubscribe: "UNSUBSCRIBE"
        case .ack: "ACK"
        case .nack: "NACK"
        case .begin: "BEGIN"
        case .commit: "COMMIT"
        case .abort: "ABORT"
        case .disconnect: "DISCONNECT"
        case .connected: "CONNECTED"
        case .message: "MESSAGE"
        case .receipt: "RECEIPT"
        case .error: "ERROR"
        }
    }

    /// True for the frames whose headers are not escaped in any version.
    var isNeverEscaped: Bool { self == .connect || self == .stomp || self == .connected }

    /// Finds the command that a line's bytes spell.
    init?(_ span: RawSpan, _ range: Range<Int>) {
        switch range.count {
        case 3: self.init(span, range, among: .ack)
        case 4: self.init(span, range, among: .send, .nack)
        case 5: self.init(span, range, among: .begin, .abort, .stomp, .error)
        case 6: self.init(span, range, among: .commit)
        case 7: self.init(span, range, among: .connect, .message, .receipt)
        case 9: self.init(span, range, among: .subscribe, .connected)
        case 10: self.init(span, range, among: .disconnect)
        case 11: self.init(span, range, among: .unsubscribe)
        default: return nil
        }
    }

    @inline(__always)
    private init?(
        _ span: RawSpan,
        _ range: Range<Int>,
        among first: StompCommand,
        _ second: StompCommand? = nil,
        _ third: StompCommand? = nil,
        _ fourth: StompCommand? = nil
    ) {
        if span.equals(first.word, in: range) {
            self = first
        } else if let second, span.equals(second.word, in: range) {
            self = second
        } else if let third, span.equals(third.word, in: range) {
            self = third
        } else if let fourth, span.equals(fourth.word, in: range) {
            self = fourth
        } else {
            return nil
        }
    }
}
