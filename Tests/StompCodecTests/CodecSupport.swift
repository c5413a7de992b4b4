import NIOCore

@testable import StompCodec

/// What a test compares of a frame.
struct SeenFrame: Equatable, CustomStringConvertible {
    var command: StompCommand
    var headers: [String]
    var body: String

    init(_ command: StompCommand, _ headers: [String] = [], _ body: String = "") {
        self.command = command
        self.headers = headers
        self.body = body
    }

    init(_ frame: StompFrame) {
        command = frame.command
        let span = frame.span
        headers = frame.headers.map { header in
            let name = StompEscaping.decode(span, header.nameRange, escapes: nil)
            return name + ":" + StompEscaping.decode(span, header.valueRange, escapes: nil)
        }
        body = String(buffer: frame.body)
    }

    var description: String { "\(command) \(headers) \(body)" }
}

/// All that came out of some bytes.
struct Parsed: Equatable {
    var frames: [SeenFrame] = []
    var error: StompError?
}

/// Feeds pieces to a parser until they end or it fails.
func parse(
    pieces: [[UInt8]],
    version: StompVersion? = .v12,
    limits: StompLimits = StompLimits()
) -> Parsed {
    var parser = StompParser(limits: limits, version: version)
    var frame = StompFrame()
    var parsed = Parsed()
    do throws(StompError) {
        for piece in pieces {
            parser.feed(ByteBuffer(bytes: piece))
            while try parser.next(into: &frame) { parsed.frames.append(SeenFrame(frame)) }
        }
    } catch {
        parsed.error = error
    }
    return parsed
}

func parse(
    _ text: String,
    version: StompVersion? = .v12,
    limits: StompLimits = StompLimits()
) -> Parsed {
    parse(pieces: [Array(text.utf8)], version: version, limits: limits)
}

/// The one frame that a text holds.
func frame(_ text: String, version: StompVersion? = .v12) throws -> StompFrame {
    var parser = StompParser(version: version)
    parser.feed(ByteBuffer(string: text))
    guard let frame = try parser.next() else { throw Missing() }
    return frame
}

struct Missing: Error {}

/// The canonical block of a SEND with these header lines.
func canonicalBlock(_ lines: String, version: StompVersion) throws -> String {
    let send = try frame("SEND\n\(lines)\n\nbody\0", version: version)
    var scratch = ByteBuffer()
    return String(buffer: send.canonicalBlock(using: &scratch))
}

/// Cuts bytes at random places.
func cut(_ bytes: [UInt8], using generator: inout some RandomNumberGenerator) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var rest = bytes[...]
    let longest = [1, 3, 17, 200, 5000].randomElement(using: &generator) ?? 1
    while !rest.isEmpty {
        let length = Int.random(in: 1...longest, using: &generator)
        pieces.append(Array(rest.prefix(length)))
        rest = rest.dropFirst(length)
    }
    return pieces
}
