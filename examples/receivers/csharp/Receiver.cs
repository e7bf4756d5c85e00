// A receiver of webhooks: verifies, keeps each delivery once, answers at once, applies in order.
//
//     mcs -r:System.Runtime.Serialization Receiver.cs
//     WEBHOOK_SECRET=whsec_… PORT=8080 INBOX=./inbox mono Receiver.exe
//
// Or as the only file of a console project of .NET 6 or newer. Needs no package. With ASP.NET read
// `Request.Body` to its end before a model is bound: the bytes are signed.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;

[DataContract]
public sealed class Order
{
    [DataMember(Name = "id")] public long Id;
}

[DataContract]
public sealed class Data
{
    [DataMember(Name = "order")] public Order Order;
}

[DataContract]
public sealed class Change
{
    [DataMember(Name = "event")] public string Event;
    [DataMember(Name = "sequence")] public long? Sequence;
    [DataMember(Name = "data")] public Data Data;
}

public static class Receiver
{
    private const int ToleranceSeconds = 300;
    private const int LargestBody = 1024 * 1024;

    private static readonly string Inbox = Setting("INBOX", "inbox");
    private static readonly string Deliveries = Path.Combine(Inbox, "deliveries");
    private static readonly string Done = Path.Combine(Inbox, "done");
    private static readonly string Orders = Path.Combine(Inbox, "orders");
    private static readonly byte[] Secret =
        Convert.FromBase64String(Regex.Replace(Setting("WEBHOOK_SECRET", ""), "^whsec_", ""));
    private static readonly AutoResetEvent Arrived = new AutoResetEvent(true);
    private static readonly object Keeping = new object();

    public static void Main()
    {
        foreach (var folder in new[] { Deliveries, Done, Orders })
        {
            Directory.CreateDirectory(folder);
        }
        new Thread(Work) { IsBackground = true }.Start();
        var listener = new HttpListener();
        listener.Prefixes.Add("http://127.0.0.1:" + Setting("PORT", "8080") + "/");
        listener.Start();
        while (true)
        {
            var context = listener.GetContext();
            ThreadPool.QueueUserWorkItem(_ => Receive(context));
        }
    }

    /// <summary>Verifies, keeps and answers; the work is done behind the answer.</summary>
    private static void Receive(HttpListenerContext context)
    {
        try
        {
            context.Response.StatusCode = Status(context.Request);
            context.Response.Close();
        }
        catch (Exception error)
        {
            // The delivery comes again.
            Console.Error.WriteLine(error);
            context.Response.Abort();
        }
    }

    private static int Status(HttpListenerRequest request)
    {
        if (request.HttpMethod != "POST")
        {
            return 405;
        }
        if (request.ContentLength64 > LargestBody)
        {
            return 413;
        }
        var buffer = new MemoryStream();
        request.InputStream.CopyTo(buffer);
        var body = buffer.ToArray();
        if (!IsVerified(request, body))
        {
            Console.WriteLine("refused");
            return 401;
        }
        var id = request.Headers["webhook-id"];
        Console.WriteLine((Keep(id, body) ? "accepted " : "duplicate ") + id);
        Arrived.Set();
        return 204;
    }

    /// <summary>Tells whether a request is signed with the secret, and not older than five minutes.</summary>
    private static bool IsVerified(HttpListenerRequest request, byte[] body)
    {
        var id = request.Headers["webhook-id"] ?? "";
        var timestamp = request.Headers["webhook-timestamp"] ?? "";
        if (!Regex.IsMatch(id, @"\A[A-Za-z0-9_-]{1,100}\z")
            || !Regex.IsMatch(timestamp, @"\A[0-9]{1,12}\z"))
        {
            return false;
        }
        var age = DateTimeOffset.UtcNow.ToUnixTimeSeconds() - long.Parse(timestamp);
        if (Math.Abs(age) > ToleranceSeconds)
        {
            return false;
        }
        string expected;
        using (var mac = new HMACSHA256(Secret))
        {
            var begin = Encoding.UTF8.GetBytes(id + "." + timestamp + ".");
            expected = "v1," + Convert.ToBase64String(mac.ComputeHash(begin.Concat(body).ToArray()));
        }
        // Several, while a secret is being replaced.
        var given = (request.Headers["webhook-signature"] ?? "").Split(' ');
        return given.Any(it => AreEqual(it, expected));
    }

    /// <summary>Compares in constant time.</summary>
    private static bool AreEqual(string one, string other)
    {
        var difference = one.Length ^ other.Length;
        for (var i = 0; i < Math.Min(one.Length, other.Length); i++)
        {
            difference |= one[i] ^ other[i];
        }
        return difference == 0;
    }

    /// <summary>Writes a delivery to the disk under its id; returns whether it is new.</summary>
    private static bool Keep(string id, byte[] body)
    {
        var temporary = Path.Combine(Inbox, Guid.NewGuid().ToString());
        using (var file = new FileStream(temporary, FileMode.CreateNew))
        {
            file.Write(body, 0, body.Length);
            file.Flush(true);
        }
        // It is there whole or not at all, and only once.
        lock (Keeping)
        {
            var kept = Path.Combine(Deliveries, id);
            if (File.Exists(kept))
            {
                File.Delete(temporary);
                return false;
            }
            File.Move(temporary, kept);
            return true;
        }
    }

    /// <summary>Applies what was kept, for ever.</summary>
    private static void Work()
    {
        while (true)
        {
            Arrived.WaitOne(1000);
            try
            {
                foreach (var waiting in Waiting())
                {
                    Apply(waiting.Value);
                    File.WriteAllText(Path.Combine(Done, waiting.Key), "");
                }
            }
            catch (Exception error)
            {
                Console.Error.WriteLine(error);
            }
        }
    }

    private static IEnumerable<KeyValuePair<string, Change>> Waiting()
    {
        var serializer = new DataContractJsonSerializer(typeof(Change));
        var changes = new Dictionary<string, Change>();
        foreach (var path in Directory.GetFiles(Deliveries))
        {
            var id = Path.GetFileName(path);
            if (!File.Exists(Path.Combine(Done, id)))
            {
                using (var file = File.OpenRead(path))
                {
                    changes[id] = (Change)serializer.ReadObject(file);
                }
            }
        }
        return changes.OrderBy(it => it.Value.Sequence ?? 0);
    }

    /// <summary>Applies a change of an order, unless a later one was applied before.</summary>
    private static void Apply(Change change)
    {
        if (change.Data == null || change.Data.Order == null)
        {
            Console.WriteLine("put aside " + change.Event);
            return;
        }
        var order = change.Data.Order.Id;
        var sequence = change.Sequence ?? 0;
        var state = Path.Combine(Orders, change.Event.Replace('/', '_') + "-" + order);
        var last = File.Exists(state) ? long.Parse(File.ReadAllText(state)) : 0;
        if (sequence != 0 && sequence <= last)
        {
            Console.WriteLine("stale " + order + " " + sequence);
            return;
        }
        // Your own work is here. It may be done again after a crash.
        Console.WriteLine("applied " + order + " " + sequence);
        File.WriteAllText(state, Math.Max(sequence, last).ToString());
    }

    private static string Setting(string name, string otherwise)
    {
        var value = Environment.GetEnvironmentVariable(name);
        return string.IsNullOrEmpty(value) ? otherwise : value;
    }
}
