import Base
import LogStore

/// How the tool shows copies of damaged bytes.
extension [QuarantinedFile] {
    var text: String {
        guard !isEmpty else { return "" }
        var text = "\(count) cop\(count == 1 ? "y" : "ies") of damaged bytes kept aside, "
        text += "\(ByteCount(reduce(0) { $0 + $1.bytes }))\n"
        for file in self { text += "kept aside: \(file.name)\n" }
        return text
    }

    var json: JSON {
        .array(map { .object([("file", .string($0.name)), ("bytes", .number($0.bytes))]) })
    }
}
