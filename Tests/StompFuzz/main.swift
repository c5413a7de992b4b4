import Glibc
import NIOCore
import StompCodec

// A libFuzzer target, built only with FUZZ set (Tests/StompCodecTests/README.md). Each input is
// parsed whole and in two pieces, for each version; the frames, with all that can be asked of them, and
// the error must be the same. What comes out is stored and delivered, so that those paths see hostile bytes too.

@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

let limits = StompLimits(bodyBytesMax: 1000, headersMax: 10, headerBytesMax: 500)

/// Everything that a session could see of some bytes.
func seen(_ pieces: [ArraySlice<UInt8>], _ version: StompVersion?) -> [String] {
    var parser = StompParser(limits: limits, version: version)
    var frame = StompFrame()
    var seen: [String] = []
    do throws(StompError) {
        for piece in pieces {
            parser.feed(ByteBuffer(bytes: piece))
            while try parser.next(into: &frame) { seen.append(use(frame)) }
        }
    } catch {
        seen.append("\(error) \(frame.string(.receipt) ?? "")")
    }
    return seen
}

func use(_ frame: StompFrame) -> String {
    var text = "\(frame.command)"
    for name in StompHeaderName.allCases where frame.has(name) {
        text += " \(name) \(frame.unescapedBytes(name) ?? [])"
        text += " \(frame.integer(name) ?? 0) \(frame.valueSpan(name)?.byteCount ?? -1)"
        text += " \(frame.rawValue(name).map { Array(buffer: $0) } ?? [])"
    }
    var scratch = ByteBuffer()
    let block = frame.canonicalBlock(using: &scratch)
    for version in StompVersion.allCases {
        var out = ByteBuffer()
        let serializer = StompSerializer(version: version)
        let prefix = serializer.messagePrefix(subscription: nil, destination: "/queue/a")
        let head = StompMessageHead(
            prefix: prefix,
            id: frame.messageID ?? StompMessageID(queue: 1, sequence: 1),
            ack: frame.ackID,
            redeliveries: 1
        )
        serializer.writeMessage(head, headers: block, body: frame.body, into: &out)
        text += " \(Array(buffer: out))"
    }
    return text
}

func test(_ bytes: [UInt8]) {
    let cut = bytes.isEmpty ? 0 : Int(bytes[0]) % bytes.count
    for version in StompVersion.allCases + [nil] as [StompVersion?] {
        let whole = seen([bytes[...]], version)
        let split = seen([bytes[..<cut], bytes[cut...]], version)
        precondition(whole == split, "the split at \(cut) changes \(whole) to \(split)")
    }
}

/// What the fuzzer calls for each input; its own main, which is linked but not used, wants the name.
@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ base: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    test(Array(UnsafeBufferPointer(start: base, count: count)))
    return 0
}

var argumentCount = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(runFuzzer(&argumentCount, &arguments, testOneInput))
