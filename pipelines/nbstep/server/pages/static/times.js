// Times as the reader's clock has them: the server writes them in its own zone, which may be another.

const two = (number) => String(number).padStart(2, "0");

export function localTimes(root) {
  for (const each of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(each.dateTime);
    if (isNaN(moment)) continue;
    const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
    each.textContent = `${day} ${two(moment.getHours())}:${two(moment.getMinutes())}`;
    each.title = moment.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  }
}

localTimes(document);
