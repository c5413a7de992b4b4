/// What is wrong with the bytes of a peer.
///
/// After any of them the stream cannot be followed further:
/// the answer is an ERROR frame, then the end of the connection.
package enum StompError: Error, Equatable, Sendable {
    /// The first line of a frame is no command; holds its first bytes, printable.
    case unknownCommand(String)
    /// Lines count from 1 for the first header.
    case headerWithoutColon(line: Int)
    case emptyHeaderName(line: Int)
    case nulInHeaders(line: Int)
    case undefinedEscape(header: String, version: StompVersion)
    case badContentLength(String)
    case bodyNotEndedByNul(contentLength: Int)
    case badHeartBeat(String)
    case tooManyHeaders(limit: Int)
    case headersTooLarge(limit: Int)
    case bodyTooLarge(limit: Int)
    case bodyBeforeConnect(limit: Int)

    /// A few words for the `message` header of the ERROR frame.
    package var message: String {
        switch self {
        case .unknownCommand: "unknown command"
        case .headerWithoutColon: "header line without a colon"
        case .emptyHeaderName: "header without a name"
        case .nulInHeaders: "NUL inside the headers"
        case .undefinedEscape: "undefined escape"
        case .badContentLength: "bad content-length"
        case .bodyNotEndedByNul: "frame not ended by NUL"
        case .badHeartBeat: "bad heart-beat"
        case .tooManyHeaders: "too many headers"
        case .headersTooLarge: "headers too large"
        case .bodyTooLarge, .bodyBeforeConnect: "body too large"
        }
    }

    /// True if the explanation quotes what may be anything, a passcode among it: not for the log.
    package var quotesStream: Bool {
        if case .unknownCommand = self { return true }
        return false
    }

    /// What, where and which limit, for the body of the ERROR frame and the log.
    package var explanation: String {
        switch self {
        case .unknownCommand(let text):
            "The first line of the frame, \"\(text)\", is no STOMP command."
        case .headerWithoutColon(let line):
            "Header line \(line) has no colon between name and value."
        case .emptyHeaderName(let line):
            "Header line \(line) has nothing before its colon."
        case .nulInHeaders(let line):
            "The frame ends at header line \(line), before the blank line that ends the headers."
        case .undefinedEscape(let header, let version):
            "Header \"\(header)\" holds an escape that STOMP \(version.rawValue) does not define."
        case .badContentLength(let text):
            "The content-length \"\(text)\" is not a whole number of bytes."
        case .bodyNotEndedByNul(let contentLength):
            "The byte after the \(contentLength) bytes of the body is not NUL."
        case .badHeartBeat(let text):
            "The heart-beat \"\(text)\" is not two whole numbers of milliseconds with a comma between."
        case .tooManyHeaders(let limit):
            "The frame has more header lines than max_headers = \(limit)."
        case .headersTooLarge(let limit):
            "The header lines have more bytes than max_header_bytes = \(limit)."
        case .bodyTooLarge(let limit):
            "The body has more bytes than max_body = \(limit)."
        case .bodyBeforeConnect(let limit):
            "The body has more than \(limit) bytes, the limit before the connection is accepted."
        }
    }
}
