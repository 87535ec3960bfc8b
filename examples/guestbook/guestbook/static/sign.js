// Posts what the form holds as a message to the actor whose page this is, and shows the book again.
const form = document.getElementById("sign");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  const answer = await fetch("../messages/sign", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(Object.fromEntries(new FormData(form))),
  });
  if (answer.ok) {
    location.assign("./page");
  } else {
    problem.textContent = (await answer.json()).detail;
  }
});
