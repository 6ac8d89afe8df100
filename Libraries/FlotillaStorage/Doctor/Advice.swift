/// What to do about what the doctor finds.
enum Advice {
    /// Nothing is lost by it.
    static let harmless = "Nothing is lost and nothing needs to be done, but look after the disk."
    /// It goes by itself.
    static let removed = "Nothing needs to be done: the next start removes it."
    /// The write-ahead log lacks something.
    static let log =
        "Keep the files; put back a good copy of the directory, or remove this node's members from their clusters and "
        + "add them again with an empty directory."
    /// A server lacks something.
    static let server =
        "Keep the files; put back a good copy of the server's directory, or remove the server from its cluster and add "
        + "it again: the other members have what is lost."
    /// A checkpoint can't be read.
    static let checkpoint = "Remove the file: the server does without a checkpoint."
    /// A snapshot can't be read that a newer one has superseded.
    static let superseded = "Remove the file: a newer snapshot has taken its place."
    /// An identity file.
    static let identity = "Put back a good copy of it, or start the node anew with an empty directory."
    /// Another node's file.
    static let otherNode = "Put the files of each node back into its own directories."
    /// Another format.
    static let version = "Use the version of the program that wrote it."
    /// The system does not give what is there.
    static let fileSystem = "Check the disk and whether this user may read it, then look again."
    /// Something that is none of ours.
    static let unknown = "Nothing needs to be done: it is left alone."
}

extension Damage.Kind {
    /// What it is, for people.
    var explanation: String {
        switch self {
        case .fileHeader: "the header is damaged, or says that it is another file"
        case .fileLength: "the file is shorter or longer than it was made"
        case .fileMissing: "the file is missing"
        case .batchHeader: "the head of a batch is damaged, so nothing can be read up to the next good batch"
        case .batchChain: "the batch does not continue the one before: what stood between them is missing"
        case .batchesMissing: "batches are missing here that the next file shows to have been written"
        case .recordEnvelope: "the head of a record is damaged, so the rest of its batch can't be read"
        case .recordPayload: "the contents of a record are damaged"
        case .entryHeader: "the head of an entry is damaged"
        case .entryBody: "the body of an entry is damaged"
        case .segmentIndex: "the index of a segment is damaged, so its entries can't be found"
        case .mended: "a part of the file is damaged that could be made good from the others"
        case .padding: "bytes that hold nothing are not zero, or a header is damaged of which there is a good copy"
        case .gap: "entries are missing in the log, or don't follow it"
        case .endMissing: "the last entries of the log are missing, which the server had"
        case .unknownServer: "a record of a server of whose creation there is no record"
        case .snapshotMissing: "the log was cut for a snapshot that is not there or can't be read"
        case .snapshotBlock: "a block of the snapshot is damaged, so the rest of it can't be read"
        case .snapshotEnd: "the end of the snapshot is damaged or missing, so it is not whole"
        }
    }
}
