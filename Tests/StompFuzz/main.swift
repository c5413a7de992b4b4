import Glibc
import NIOCore
import StompCodec

// A libFuzzer target, built only with FUZZ set (Tests/StompCodecTests/README.md). Each input is
// parsed whole and in two pieces, for each version; the frames must be the same. What comes out is
// stored and delivered, so that those paths see hostile bytes too.

@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

let limits = StompLimits(bodyBytesMax: 1000, headersMax: 10, headerBytesMax: 500)

func frameCount(_ pieces: [ArraySlice<UInt8>], _ version: StompVersion?) -> Int {
    var parser = StompParser(limits: limits, version: version)
    var frame = StompFrame()
    var count = 0
    do throws(StompError) {
        for piece in pieces {
            parser.feed(ByteBuffer(bytes: piece))
            while try parser.next(into: &frame) {
                count += 1
                use(frame)
            }
        }
    } catch {
        return -count - 1
    }
    return count
}

func use(_ frame: StompFrame) {
    for name in StompHeaderName.allCases { _ = (frame.string(name), frame.integer(name)) }
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
    }
}

func test(_ bytes: [UInt8]) {
    let cut = bytes.isEmpty ? 0 : Int(bytes[0]) % bytes.count
    for version in StompVersion.allCases + [nil] as [StompVersion?] {
        let whole = frameCount([bytes[...]], version)
        let split = frameCount([bytes[..<cut], bytes[cut...]], version)
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
